// A picture that can be moved and zoomed, with mouse, fingers and keys.
'use strict';
class Viewer {
  static CLOSEST = 4;
  static READABLE = 0.8;
  static STEP = 1.4;
  static MOVES = { ArrowLeft: [-80, 0], ArrowRight: [80, 0], ArrowUp: [0, -80], ArrowDown: [0, 80] };
  static KEYS = { '+': 'in', '=': 'in', '-': 'out', 0: 'fit' };

  constructor(canvas) {
    this.canvas = canvas;
    this.fitted = 1; // the scale when all of it is shown
    this.listenToMouse();
    this.listenToFingers();
    canvas.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (this.zoomed && Viewer.MOVES[event.key]) this.move(...Viewer.MOVES[event.key]);
      else if (Viewer.KEYS[event.key]) this[Viewer.KEYS[event.key]]();
      else return;
      event.preventDefault();
    });
    let width = innerWidth; // the height also changes while somebody scrolls on a phone
    addEventListener('resize', () => {
      if (width !== innerWidth) this.fit();
      width = innerWidth;
    });
  }

  get picture() { return this.canvas.firstElementChild; }
  get zoomed() { return this.canvas.classList.contains('zoomed'); }
  get scale() { return this.picture.getScreenCTM().a; }

  put(picture) {
    this.fit();
    this.canvas.replaceChildren(picture);
  }

  move(left, top) { this.canvas.scrollBy({ left, top, behavior: 'instant' }); }
  in() { this.zoom(Viewer.STEP); }
  out() { this.zoom(1 / Viewer.STEP); }
  readable() { if (this.scale < Viewer.READABLE) this.zoom(1 / this.scale); }

  fit() {
    if (!this.zoomed) return;
    this.canvas.classList.remove('zoomed');
    this.canvas.style.height = '';
    this.resize(1);
  }

  resize(by) {
    const { width, height } = this.picture.viewBox.baseVal;
    this.picture.setAttribute('width', width * by);
    this.picture.setAttribute('height', height * by);
  }

  // What is at (x, y) on the screen stays there.
  zoom(factor, x, y) {
    const box = this.canvas.getBoundingClientRect();
    x ??= box.left + box.width / 2;
    y ??= box.top + box.height / 2;
    if (!this.zoomed) this.fitted = this.scale;
    const wanted = Math.min(Viewer.CLOSEST, this.scale * factor);
    if (wanted <= this.fitted * 1.001) return this.fit();
    const point = new DOMPoint(x, y).matrixTransform(this.picture.getScreenCTM().inverse());
    this.canvas.style.height = `${box.height}px`;
    this.canvas.classList.add('zoomed');
    this.resize(wanted);
    const there = point.matrixTransform(this.picture.getScreenCTM());
    this.move(there.x - x, there.y - y);
  }

  listenToMouse() {
    const { canvas } = this;
    let held = null; // where the mouse took hold
    canvas.addEventListener('wheel', (event) => {
      if (!event.ctrlKey) return; // the wheel alone is for the page
      event.preventDefault();
      this.zoom(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) * 0.006), event.clientX, event.clientY);
    }, { passive: false });
    canvas.addEventListener('dblclick', (event) => this.zoom(Viewer.STEP ** 2, event.clientX, event.clientY));
    canvas.addEventListener('pointerdown', (event) => {
      canvas.classList.remove('dragged');
      if (event.pointerType === 'mouse' && event.button === 0 && this.zoomed) held = [event.clientX, event.clientY];
    });
    canvas.addEventListener('pointermove', (event) => {
      if (!held) return;
      const by = [held[0] - event.clientX, held[1] - event.clientY];
      if (!canvas.classList.contains('dragged') && Math.hypot(...by) < 4) return;
      canvas.classList.add('dragged'); // so that the click at its end is none
      canvas.setPointerCapture(event.pointerId);
      this.move(...by);
      held = [event.clientX, event.clientY];
    });
    for (const end of ['pointerup', 'pointercancel']) canvas.addEventListener(end, () => { held = null; });
  }

  listenToFingers() {
    let apart = 0; // how far two of them are from each other
    this.canvas.addEventListener('touchmove', (event) => {
      if (event.touches.length !== 2) return;
      event.preventDefault();
      const [a, b] = event.touches, now = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
      if (apart) this.zoom(now / apart, (a.clientX + b.clientX) / 2, (a.clientY + b.clientY) / 2);
      apart = now;
    }, { passive: false });
    this.canvas.addEventListener('touchend', () => { apart = 0; });
  }
}
