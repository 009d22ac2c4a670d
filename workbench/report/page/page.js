// The page can be read without this script. With it, readers choose the pair and the picture, and rows and things in the
// picture find each other. Text stays text: nothing here writes markup.
(() => {
  const root = document.documentElement, main = document.getElementById('main');
  const all = (selector, within = main) => [...within.querySelectorAll(selector)];
  const one = (selector, within = main) => within.querySelector(selector);
  const set = (element, attributes) => {
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const made = (name, text = '', attributes = {}) => {
    const element = set(document.createElement(name), attributes);
    element.textContent = text;
    return element;
  };
  const button = (text, pressed, attributes = {}) => {
    const element = made('button', text, { type: 'button', ...attributes });
    element.addEventListener('click', pressed);
    return element;
  };
  const calm = matchMedia('(prefers-reduced-motion: reduce)');
  const show = (element, block) =>
    element.scrollIntoView({ block, inline: block, behavior: calm.matches ? 'instant' : 'smooth' });
  root.classList.add('scripted');

  // --- Light and dark ------------------------------------------------------------------------------------------------

  const theme = document.getElementById('theme'), dark = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => (root.dataset.theme ?? (dark.matches ? 'dark' : 'light')) === 'dark';
  const told = () => theme.setAttribute('aria-pressed', isDark());
  theme.addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    told();
  });
  dark.addEventListener('change', told);
  told();

  // --- Rows and things -----------------------------------------------------------------------------------------------

  const MOST = 20; // rows that are told beside the picture
  let canvas, svg, viewer; // where the picture is, and the one that is shown
  let pinned = null; // the keys of what was clicked
  const keysOf = (element) => (element?.dataset.keys ?? '').split(' ').filter(Boolean);
  const about = (elements, keys) => elements.filter((element) => keysOf(element).some((key) => keys.includes(key)));
  const rowsOf = (keys) => about(all('tr[data-keys]'), keys);
  const nodesOf = (keys) => about(all('[data-keys]', svg), keys);
  const nameOf = (node) => one('title, text', node)?.textContent ?? '';

  // The row or thing that is meant; the ground of a frame means nothing, what is written on it does.
  function meant({ target }) {
    const found = target.closest('[data-keys]');
    return found?.matches('.frame') && target.matches('rect') ? null : found;
  }

  function ring(node, kind) {
    const back = svg.getScreenCTM().inverse(), box = node.getBoundingClientRect();
    const from = new DOMPoint(box.left, box.top).matrixTransform(back);
    const to = new DOMPoint(box.right, box.bottom).matrixTransform(back);
    const size = { width: to.x - from.x + 6, height: to.y - from.y + 6, rx: 10 };
    const rect = document.createElementNS(svg.namespaceURI, 'rect');
    svg.append(set(rect, { x: from.x - 3, y: from.y - 3, ...size, class: kind }));
  }

  // Shows what is under the mouse or has the focus, and what was clicked.
  function light(keys) {
    for (const old of all('.ring', svg)) old.remove();
    for (const row of all('tr:is(.lit, .pinned)')) row.classList.remove('lit', 'pinned');
    for (const [kind, which] of [['lit', keys], ['pinned', pinned ?? []]]) {
      for (const row of rowsOf(which)) row.classList.add(kind);
      for (const node of nodesOf(which)) ring(node, `ring ${kind}`);
    }
  }

  // Everything that the page says about what was clicked, beside it.
  function pin(keys, name) {
    pinned = keys;
    light([]);
    const panel = one('.inspector'), list = made('ul'), head = made('header');
    panel.hidden = !keys;
    if (!keys) return;
    head.append(
      button(name, () => nodesOf(keys)[0] && show(nodesOf(keys)[0], 'center'), { class: 'name' }),
      button('×', () => { pin(null); canvas.focus({ preventScroll: true }); }, { 'aria-label': 'Close' }),
    );
    let above = '';
    for (const row of rowsOf(keys).slice(0, MOST)) {
      const item = made('li'), title = one('h2', row.closest('section')).textContent;
      if (title !== above) item.append(made('small', title));
      above = title;
      item.append(button(words(row), () => goTo(row)));
      list.append(item);
    }
    panel.replaceChildren(head, list.children.length ? list : made('p', 'Nothing in this comparison is about it.'));
  }

  function words(row) {
    const said = ({ dataset, className, textContent }) => {
      const text = textContent.replace('◎', '').trim();
      return text && className === 'number' ? `${dataset.label} ${text}` : text;
    };
    return [...row.cells].map(said).filter((text) => text && !text.endsWith(' -')).join(' · ').slice(0, 240);
  }

  function goTo(row) {
    const folded = row.closest('details');
    if (folded) folded.open = true;
    unfold(row.closest('table'));
    show(row, 'center');
    one('.locate', row)?.focus({ preventScroll: true });
  }

  function locate(row) {
    const keys = keysOf(row);
    if (!nodesOf(keys).length) look('changes');
    const [node] = nodesOf(keys);
    if (!node) return;
    pin(keys, nameOf(node));
    viewer.readable();
    canvas.focus({ preventScroll: true });
    show(node, 'center');
  }

  for (const kind of ['pointerover', 'focusin']) main.addEventListener(kind, (event) => light(keysOf(meant(event))));
  for (const kind of ['pointerleave', 'focusout']) main.addEventListener(kind, () => light([]));
  main.addEventListener('click', (event) => {
    const found = meant(event);
    if (canvas.classList.contains('dragged')) canvas.classList.remove('dragged');
    else if (event.target.closest('button')) return; // it knows what to do
    else if (found?.matches('tr')) { if (found.dataset.linked && !String(getSelection())) locate(found); }
    else if (found) pin(keysOf(found), nameOf(found));
    else if (event.target.closest('.canvas')) pin(null);
  });
  main.addEventListener('keydown', (event) => {
    const found = meant(event), by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (event.key === 'Escape' && pinned) pin(null);
    else if (found && svg.contains(found) && ['Enter', ' '].includes(event.key)) pin(keysOf(found), nameOf(found));
    else if (found?.matches('tr') && by) step(found, by);
    else return;
    event.preventDefault();
  });

  // A table is one stop of the tabulator; arrows go from row to row.
  function step(row, by) {
    const buttons = all('tr:not([hidden]) .locate', row.closest('table'));
    const next = buttons[buttons.indexOf(one('.locate', row)) + by];
    if (!next) return;
    for (const button of buttons) button.tabIndex = button === next ? 0 : -1;
    next.focus();
  }

  // --- Tables --------------------------------------------------------------------------------------------------------

  function fold(table) {
    const rows = all('tbody tr', table), shown = Number(table.dataset.shown);
    if (rows.length <= shown + 2 || table.closest('details')) return;
    for (const row of rows.slice(shown)) row.hidden = true;
    table.after(button(`Show all ${rows.length}`, () => unfold(table), { class: 'more' }));
  }

  function unfold(table) {
    for (const row of all('tr[hidden]', table)) row.hidden = false;
    if (table.nextElementSibling?.matches('.more')) table.nextElementSibling.remove();
  }

  function tie(table) {
    let tabindex = 0;
    for (const row of all('tbody tr[data-keys]', table)) {
      const [node] = nodesOf(keysOf(row));
      if (!node) continue;
      row.dataset.linked = 'yes';
      const label = `Show in the picture: ${nameOf(node)}`;
      row.lastElementChild.append(button('◎', () => locate(row), { class: 'locate', 'aria-label': label, tabindex }));
      tabindex = -1;
    }
  }

  // --- Which pair, which picture -------------------------------------------------------------------------------------

  const kept = (kind) => new Map(all(`template[data-${kind}]`, document).map((each) => [each.dataset[kind], each]));
  const sides = kept('side'), pairs = kept('pair');
  const clone = (template) => template.content.firstElementChild.cloneNode(true);
  const number = ({ dataset }) => `${dataset.before}-${dataset.after}`;
  const first = one('.pair'), seen = new Map([[number(first), first]]);

  function look(view) {
    const pair = one('.pair'), side = sides.get(pair.dataset[view]);
    one(`[name=view][value=${view}]`).checked = true;
    svg = pair.pictures[view] ??= clone(side);
    viewer.put(set(svg, { role: 'group' })); // an image would hide from screen readers what is in it
    for (const node of nodesOf(all('tr[data-linked]').flatMap(keysOf)).filter((each) => !each.matches('.frame'))) {
      set(node, { tabindex: 0, role: 'button', 'aria-label': nameOf(node) });
    }
    pin(null);
  }

  function mount(pair) {
    main.replaceChildren(pair);
    canvas = one('.canvas');
    if (!pair.pictures) {
      svg = one('svg', canvas);
      pair.pictures = { changes: svg };
      pair.viewer = new Viewer(canvas);
      for (const table of all('table')) { tie(table); fold(table); }
    }
    viewer = pair.viewer;
    look(one('[name=view]:checked').value);
    const { before, after } = pair.dataset, label = (side) => sides.get(side).dataset.label;
    const chosen = `[name=from][value="${before}"], [name=to][value="${after}"]`;
    for (const input of all(chosen, document)) input.checked = true;
    document.title = `${label(before)} → ${label(after)} · Compare`;
  }

  // The address keeps the choice.
  function follow() {
    const wanted = location.hash.slice(1);
    if (!seen.has(wanted) && pairs.has(wanted)) seen.set(wanted, clone(pairs.get(wanted)));
    const pair = seen.get(wanted) ?? first;
    if (canvas && pair === one('.pair')) return;
    mount(pair);
    document.getElementById('said').textContent = `${document.title}. ${one('.said').textContent}`;
  }
  const go = (before, after) => { location.hash = `${before}-${after}`; };
  document.addEventListener('change', ({ target: { name, value } }) => {
    const { before, after } = one('.pair').dataset;
    if (name === 'view') look(value);
    // The same on both sides means: the other way round.
    if (name === 'from') go(value, value === after ? before : after);
    if (name === 'to') go(value === before ? after : before, value);
  });
  document.getElementById('swap')?.addEventListener('click', () => {
    const { before, after } = one('.pair').dataset;
    go(after, before);
  });
  document.addEventListener('click', (event) => {
    const how = event.target.closest('[data-zoom]')?.dataset.zoom;
    if (how) viewer[how]();
    const link = event.target.closest('a[href^="#"]'), there = link && document.getElementById(link.hash.slice(1));
    if (!there) return;
    event.preventDefault(); // the address is for the pair
    there.tabIndex = -1;
    there.focus({ preventScroll: true });
    show(there, 'start');
  });
  addEventListener('hashchange', follow);
  let chosen; // the colours of the screen, while paper is printed
  addEventListener('beforeprint', () => {
    look('changes');
    chosen = root.dataset.theme;
    root.dataset.theme = 'light';
  });
  addEventListener('afterprint', () => {
    if (chosen) root.dataset.theme = chosen;
    else delete root.dataset.theme;
  });
  follow();
})();
