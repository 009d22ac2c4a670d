"""Environment files that must be refused: what kind of mistake, at which key and line, and what the user is told.

The line is the one that ends in `# <-`; a file without this mark has a problem that stands nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

MARK = "# <-"
SANDBOX = {
    "name": '"shop"',
    "stage": "5",
    "profile": '"sandbox"',
    "region": '"us-east-1"',
    "open_to": '["203.0.113.10/32"]',
}
PRODUCTION = {
    "name": '"shop-prod"',
    "stage": "5",
    "profile": '"production"',
    "region": '"us-east-1"',
    "zones": '["us-east-1a", "us-east-1b", "us-east-1c"]',
    "domain": '"shop.example.com"',
    "hosted_zone_id": '"Z0123456789ABCDEFGHIJ"',
    "alarm_email": '"oncall@example.com"',
    "budget_usd": "1000",
}
IMAGE = '[pins]\nimage = "ami-00000000000000000"\n'


@dataclass(frozen=True)
class Bad:
    """One bad file. `key` is empty where no key is to blame; `says` are parts of the message, in their order."""

    kind: str
    key: str
    text: str
    says: tuple[str, ...]

    @property
    def line(self) -> int:
        return next((number for number, row in enumerate(self.text.split("\n"), 1) if row.endswith(MARK)), 0)


def sandbox(tables: str = "", **settings: str) -> str:
    """A good sandbox file with these settings instead, or without those that are empty."""
    return _file(SANDBOX | settings, tables)


def production(tables: str = IMAGE, **settings: str) -> str:
    """A good production file, changed in the same way."""
    return _file(PRODUCTION | settings, tables)


def _file(settings: dict[str, str], tables: str) -> str:
    return "".join(f"{key} = {value}\n" for key, value in settings.items() if value) + tables


def bad(kind: str, key: str, text: str, *says: str) -> Bad:
    return Bad(kind, key, text, says)


def value(kind: str, key: str, written: str, *says: str) -> Bad:
    """A top-level setting with a wrong value."""
    return bad(kind, key, sandbox(**{key: f"{written} {MARK}"}), *says)


def sized(kind: str, key: str, written: str, *says: str) -> Bad:
    """A setting of a table with a wrong value."""
    table, _, setting = key.rpartition(".")
    return bad(kind, key, sandbox(f"[{table}]\n{setting} = {written} {MARK}\n"), *says)


BAD = [
    # A key that nobody reads.
    value("unknown key", "stagee", "3", "is no setting, found 3", 'did you mean "stage"?'),
    value("unknown key", "instance_type", '"t4g.medium"', "is no setting", "known here: name, stage"),
    bad("unknown key", '"the stage"', sandbox('"the stage" = 3 # <-\n'), "is no setting, found 3"),
    bad("unknown key", "pin", sandbox("[pin] # <-\n"), "is no setting, found a table", 'did you mean "pins"?'),
    sized("unknown key", "pins.ami", '"ami-12345678"', "is no setting", "known here: image, release"),
    sized("unknown key", "transition.lock", "true", "is no setting, found true", '"lock_origin"?'),
    sized("unknown key", "sizes.fleet.min", "2", "is no setting, found 2", 'did you mean "minimum"?'),
    sized("unknown key", "sizes.fleet.desired", "2", "is no setting", "known here: instance_type, minimum"),
    bad("unknown key", "sizes.databse", sandbox("[sizes.databse] # <-\nmulti_az = true\n"), '"database"?'),
    sized("unknown key", "sizes.workers.invoice.reads_database", "true", "is no setting", "timeout_seconds"),
    bad("unknown key", "sizes.workers.invoices", sandbox("[sizes.workers.invoices] # <-\n"), 'did you mean "invoice"?'),
    bad("unknown key", "sizes.workers.x.size", sandbox("[sizes.workers.x]\nsize = 1 # <-\n"), "is no setting, found 1"),
    bad("unknown key", "sizes.fleet.size", sandbox("sizes.fleet.size = 3 # <-\n"), "is no setting, found 3"),
    bad("unknown key", "sizes.fleet.size", sandbox("sizes = { fleet = { size = 3 } } # <-\n"), "is no setting"),
    # A key that must be there.
    bad("missing key", "name", sandbox(name=""), "is missing, found nothing", "add name = "),
    bad("missing key", "stage", sandbox(stage=""), "is missing, found nothing", "add stage = "),
    bad("missing key", "profile", sandbox(profile=""), "is missing, found nothing", "add profile = "),
    bad("missing key", "region", sandbox(region=""), "is missing, found nothing", "add region = "),
    bad("missing key", "open_to", sandbox(open_to=""), "is missing", "has no TLS", "/32", "or a domain"),
    bad("missing key", "open_to", sandbox(open_to="[] # <-"), "is missing", "has no TLS", "or a domain"),
    # Text where a number belongs, and the other way round.
    value("wrong type", "name", "5", "must be text, found 5", "double quotes"),
    value("wrong type", "account", "123456789012", "must be text, found 123456789012", "double quotes"),
    value("wrong type", "region", '["us-east-1"]', 'must be text, found ["us-east-1"]'),
    value("wrong type", "zones", '"us-east-1a"', 'must be a list, found "us-east-1a"', "square brackets"),
    value("wrong type", "open_to", '"0.0.0.0/0"', 'must be a list, found "0.0.0.0/0"'),
    bad("wrong type", "open_to[1]", sandbox(open_to='[\n  "192.0.2.0/24",\n  24, # <-\n]'), "must be text, found 24"),
    value("wrong type", "domain", "true", "must be text, found true"),
    value("wrong type", "hosted_zone_id", "7", "must be text, found 7"),
    value("wrong type", "alarm_email", '["a@b.example"]', "must be text"),
    value("wrong type", "budget_usd", '"100"', 'must be a whole number, found "100"', "no quotes"),
    sized("wrong type", "tags.team", "7", "must be text, found 7"),
    sized("wrong type", "pins.image", "7", "must be text, found 7"),
    sized("wrong type", "pins.origin_key_generation", '"1"', 'must be a whole number, found "1"'),
    sized("wrong type", "transition.lock_origin", '"false"', 'must be true or false, found "false"'),
    sized("wrong type", "transition.lock_origin", "0", "must be true or false, found 0"),
    sized("wrong type", "sizes.database.multi_az", '"yes"', 'must be true or false, found "yes"'),
    sized("wrong type", "sizes.fleet.maximum", '"6"', 'must be a whole number, found "6"'),
    # What other formats would let through.
    value("boolean as number", "stage", "true", "is no stage, found true"),
    value("boolean as number", "budget_usd", "true", "must be a whole number, found true"),
    sized("boolean as number", "sizes.database.read_replicas", "true", "must be a whole number, found true"),
    value("decimal as number", "stage", "3.0", "is no stage, found 3.0"),
    value("decimal as number", "budget_usd", "inf", "must be a whole number, found inf", "no decimals"),
    sized("decimal as number", "sizes.fleet.minimum", "2.0", "must be a whole number, found 2.0"),
    sized("decimal as number", "sizes.fleet.cpu_target_percent", "nan", "must be a whole number, found nan"),
    value("date", "stage", "2026-01-01", "is no stage, found 2026-01-01"),
    value("date", "budget_usd", "1979-05-27T07:32:00Z", "must be a whole number, found 1979-05-27"),
    sized("date", "sizes.workers.analytics.timeout_seconds", "00:00:30", "must be a whole number, found 00:00:30"),
    # A table where a value belongs, and the other way round.
    bad("table for a value", "stage", sandbox("[stage] # <-\nnumber = 3\n", stage=""), "is no stage, found a table"),
    value("table for a value", "egress", "{ nat = 1 }", "is none of the choices, found a table"),
    bad("table for a value", "zones", sandbox("[[zones]] # <-\n"), "zones[0]", "must be text, found a table"),
    bad("table for a value", "sizes.cdn.price_class", sandbox("[sizes.cdn.price_class] # <-\n"), "found a table"),
    value("value for a table", "tags", '["team"]', 'must be a table, found ["team"]', "square brackets"),
    value("value for a table", "pins", '"ami-12345678"', "must be a table"),
    value("value for a table", "transition", "false", "must be a table, found false"),
    value("value for a table", "sizes", "3", "must be a table, found 3"),
    sized("value for a table", "sizes.server", '"t4g.medium"', "must be a table"),
    sized("value for a table", "sizes.fleet", "2", "must be a table, found 2"),
    sized("value for a table", "sizes.database", '"large"', "must be a table"),
    sized("value for a table", "sizes.cache", "3", "must be a table, found 3"),
    sized("value for a table", "sizes.cdn", "true", "must be a table, found true"),
    sized("value for a table", "sizes.workers", "10", "must be a table, found 10"),
    sized("value for a table", "sizes.workers.invoice", "10", "must be a table, found 10"),
    # Text of the wrong shape.
    value("shape", "name", '"Shop"', "must be 2 to 20 lower-case letters", 'found "Shop"', 'like "shop"'),
    value("shape", "name", '"shop--one"', "single hyphens", 'found "shop--one"'),
    value("shape", "name", '"shop-"', "single hyphens", 'found "shop-"'),
    value("shape", "name", '"s"', "must be 2 to 20", 'found "s"'),
    value("shape", "name", '"shop\\n"', "must be 2 to 20", 'found "shop\\n"'),
    value("shape", "name", '"aws-shop"', "must not begin with aws or ssm", 'found "aws-shop"', "choose another"),
    value("shape", "name", '"cdk-bootstrap"', "must not begin with aws or ssm or sg- or cdk-", "choose another"),
    value("shape", "name", '"a-name-of-twenty-one-x"', "must be 2 to 20", "found"),
    value("shape", "account", '"1234-5678-9012"', "the 12 digits of an AWS account", "found"),
    value("shape", "account", '"١٢٣٤٥٦٧٨٩٠١٢"', "the 12 digits of an AWS account", "found"),
    value("shape", "zones", '["us-east-1"]', "zones[0]: must be an availability zone", 'found "us-east-1"'),
    value("shape", "open_to", '["203.0.113.10"]', "open_to[0]: must be a range of IPv4", 'such as "203.0.113.10/32"'),
    value("shape", "open_to", '["2001:db8::/32"]', "must be a range of IPv4 addresses", 'found "2001:db8::/32"'),
    value("shape", "open_to", '["300.0.0.1/32"]', "must be a range of IPv4 addresses", "found"),
    value("shape", "open_to", '["203.0.113.10/24"]', "has bits set", 'write "203.0.113.0/24"', "/32"),
    value("shape", "domain", '"https://shop.example.com"', "must be a domain", "without https://"),
    value("shape", "domain", '"shop.example.com."', "must be a domain", "or a dot at its end"),
    value("shape", "domain", '"localhost"', "must be a domain", 'like "shop.example.com"'),
    value("shape", "domain", f'"{"long" * 15}.example.com"', "at most 57 characters", "found", "..."),
    value("shape", "hosted_zone_id", '"/hostedzone/Z012"', "the id of a Route 53 hosted zone", "found"),
    value("shape", "alarm_email", '"oncall"', "must be one e-mail address", 'found "oncall"'),
    value("shape", "alarm_email", '"a@b.example, c@d.example"', "must be one e-mail address", "found"),
    sized("shape", "tags.team", '"a;b"', "characters that AWS takes in tags", 'found "a;b"', "use letters"),
    sized("shape", "tags.team", '" a"', "begins or ends with a space", "remove it"),
    sized("not TOML", "tags.cost", 'centre = "a"', "is not TOML: Invalid value", "centre", "put text in double quotes"),
    bad("shape", 'tags."aws:team"', sandbox('[tags]\n"aws:team" = "a" # <-\n'), "must not begin with aws:"),
    bad("shape", 'tags."Shop:environment"', sandbox('[tags]\n"Shop:environment" = "x" # <-\n'), "which is taken"),
    bad("shape", 'tags.""', sandbox('[tags]\n"" = "a" # <-\n'), "must have 1 to 128 characters"),
    sized("shape", "tags.note", f'"{"x" * 257}"', "must have 0 to 256 characters", "..."),
    sized("shape", "pins.image", '"al2023"', "must be the id of a machine image", 'found "al2023"', '"ami-'),
    sized("shape", "pins.release", '"v1.2"', "the 64 hexadecimal digits that name a release", 'found "v1.2"'),
    sized("shape", "pins.edge_prefix_list", '"cloudfront"', "must be the id of a prefix list", '"pl-'),
    # Not one of those that exist.
    value("choice", "stage", "0", "is no stage, found 0", "write 1 to 5, or one of monolith"),
    value("choice", "stage", "6", "is no stage, found 6"),
    value("choice", "stage", '"cache"', 'is no stage, found "cache"', 'did you mean "cached"?'),
    value("choice", "profile", '"prod"', "is none of the choices", 'did you mean "production"?', '"sandbox"'),
    value("choice", "region", '"us-east1"', "must be a commercial AWS region", 'did you mean "us-east-1"?'),
    value("choice", "region", '"cn-north-1"', "must be a commercial AWS region", 'found "cn-north-1"'),
    value("choice", "egress", '"nat_per_zone"', "is none of the choices", 'did you mean "nat-per-zone"?'),
    sized("choice", "sizes.cdn.price_class", '"PriceClass_300"', "is none of the choices", '"PriceClass_All"'),
    # A size that the part cannot take.
    sized("size the part cannot take", "sizes.server.instance_type", '"t3.medium"', "arm64", '"t4g.medium"?'),
    sized("size the part cannot take", "sizes.fleet.instance_type", '"t4g.nano"', "arm64", 'found "t4g.nano"'),
    sized("size the part cannot take", "sizes.fleet.instance_type", '"m7i.large"', "arm64", "the families are t4g"),
    sized("size the part cannot take", "sizes.database.instance_type", '"db.m7g.large"', 'without its "db."', '"m7g'),
    sized("size the part cannot take", "sizes.database.instance_type", '"c7g.large"', "RDS instance type", "found"),
    sized("size the part cannot take", "sizes.cache.node_type", '"t4g.medium"', 'with its "cache."', '"cache.t4g.'),
    sized("size the part cannot take", "sizes.cache.node_type", '"cache.t3.small"', "arm64", '"cache.t4g.small"?'),
    # Numbers out of range.
    value("range", "budget_usd", "0", "is out of range, found 0", "from 1 to 10000000"),
    sized("range", "pins.origin_key_generation", "1000", "is out of range, found 1000", "from 1 to 999"),
    sized("range", "sizes.server.data_volume_gib", "5", "is out of range, found 5", "from 10 to 16384"),
    sized("range", "sizes.fleet.minimum", "1", "is out of range, found 1", "from 2 to 100", "does not survive"),
    sized("range", "sizes.fleet.maximum", "101", "is out of range, found 101", "from 2 to 100"),
    sized("range", "sizes.fleet.cpu_target_percent", "100", "is out of range, found 100", "from 10 to 90"),
    sized("range", "sizes.fleet.requests_per_target", "0", "is out of range, found 0"),
    sized("range", "sizes.database.storage_gib", "10", "is out of range, found 10", "from 20 to 65536"),
    sized("range", "sizes.database.storage_limit_gib", "-1", "is out of range, found -1"),
    sized("range", "sizes.database.read_replicas", "9", "is out of range, found 9", "from 0 to 5", "beyond five"),
    sized("range", "sizes.cache.shards", "0", "is out of range, found 0", "from 1 to 15"),
    sized("range", "sizes.cache.replicas_per_shard", "6", "is out of range, found 6", "from 0 to 5"),
    sized("range", "sizes.cdn.requests_per_five_minutes", "5", "is out of range, found 5", "from 100 to 2000000"),
    sized("range", "sizes.workers.invoice.timeout_seconds", "901", "is out of range, found 901", "from 1 to 900"),
    sized("range", "sizes.workers.invoice.memory_mib", "64", "is out of range, found 64", "from 128 to 10240"),
    sized("range", "sizes.workers.invoice.concurrency", "1", "is out of range, found 1", "from 2 to 1000"),
    sized("range", "sizes.workers.invoice.concurrency", "0x" + "f" * 4000, "more than 20 digits", "from 2 to 1000"),
    value("too many", "zones", '["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d"]', "found 4; keep at most 3"),
    value("too many", "open_to", "[" + '"192.0.2.1/32", ' * 26 + "]", "too many entries, found 26", "at most 25"),
    bad("too many", "tags", sandbox("[tags] # <-\n" + "".join(f't{n} = ""\n' for n in range(41))), "found 41; keep at"),
    # Right alone, wrong together.
    value("contradiction", "domain", '"shop.example.com"', "needs hosted_zone_id beside it", "or remove domain"),
    value("contradiction", "hosted_zone_id", '"Z0123"', "needs domain beside it", 'found "Z0123"'),
    value("contradiction", "zones", '["us-east-1a", "us-east-1b"]', "must name three zones", "or remove all"),
    value("contradiction", "zones", '["us-east-1a", "us-east-1b", "us-west-2c"]', "zones[2]: is not a"),
    value("contradiction", "zones", '["us-east-1a", "us-east-1b", "us-east-1a"]', "zones[2]: names a zone"),
    value("contradiction", "open_to", '["0.0.0.0/0"]', "open_to[0]: opens a site without TLS to the world", "/32"),
    value("contradiction", "open_to", '["0.0.0.0/1", "128.0.0.0/1"]', "opens a site without TLS", "/32"),
    value("contradiction", "open_to", '["192.0.2.0/24", "192.0.2.0/24"]', "open_to[1]: names a range twice"),
    bad(
        "contradiction",
        "open_to",
        production(
            IMAGE + 'edge_prefix_list = "pl-3b927c52"\n[transition]\nlock_origin = false\n',
            open_to='["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"] # <-',
        ),
        "leaves no room for CloudFront",
        "found 3 ranges",
        "at most 2 ranges",
    ),
    bad("contradiction", "tags.Team", sandbox('[tags]\nteam = "a"\nTeam = "b" # <-\n'), 'differs from "team" only'),
    bad(
        "contradiction",
        "sizes.fleet.minimum",
        sandbox("[sizes.fleet]\nmaximum = 4\nminimum = 8 # <-\n"),
        "minimum 8 is above maximum 4 at stage 5 (asynchronous), found 8",
        "raise the maximum",
    ),
    sized("contradiction", "sizes.fleet.maximum", "2", "minimum 3 is above maximum 2 at stage 5", "lower the minimum"),
    sized("contradiction", "sizes.database.storage_gib", "950", "limit 1000 is not 10 %", "limit_gib = 1045"),
    sized("contradiction", "sizes.database.storage_limit_gib", "100", "limit 100 is not 10 % above storage 100", "110"),
    # Sizes of a part that is not there.
    bad(
        "part the stage lacks",
        "sizes.database.read_replicas",
        sandbox("[sizes.database]\nread_replicas = 1 # <-\n", stage="1"),
        "read_replicas without a database: stage 1 (monolith) has none, found 1",
        "the first stage with a database is 2 (managed-database)",
    ),
    sized("part the stage lacks", "sizes.server.data_volume_gib", "50", "stage 5 (asynchronous) has none", "is 1 (m"),
    bad(
        "part the stage lacks",
        "sizes.workers.invoice",
        sandbox("[sizes.workers.invoice] # <-\nconcurrency = 2\n", stage='"cached"'),
        "invoice without workers: stage 4 (cached) has none",
        "is 5 (asynchronous)",
    ),
    # What production cannot do without.
    bad("production needs", "zones", production(zones=""), "is missing, and production needs it", "add zones = "),
    bad("production needs", "domain", production(domain="", hosted_zone_id=""), "there is no TLS", "add domain = "),
    bad("production needs", "alarm_email", production(alarm_email=""), "reaches nobody", "add alarm_email = "),
    bad("production needs", "budget_usd", production(budget_usd=""), "only you know", "add budget_usd = "),
    bad("production needs", "pins.image", production("[pins] # <-\n"), "would replace hosts", "aws ssm get-parameter"),
    bad(
        "production needs",
        "sizes.database.multi_az",
        production(IMAGE + "[sizes.database]\nmulti_az = false # <-\n"),
        "without a standby, found false",
        "or use profile sandbox",
    ),
    bad(
        "production needs",
        "sizes.cache.replicas_per_shard",
        production(IMAGE + "[sizes.cache]\nreplicas_per_shard = 0 # <-\n"),
        "without a second node, found 0",
        "write 1 or more",
    ),
    # Given twice.
    bad("duplicate key", "stage", sandbox("stage = 4 # <-\n"), "is given twice, first in line 2", 'found "stage = 4'),
    bad("duplicate key", "stage", sandbox('"stage" = 4 # <-\n'), "is given twice, first in line 2", "remove one"),
    bad("duplicate key", "pins.image", sandbox('pins = { image = "a", image = "b" } # <-\n'), "is given twice"),
    bad("duplicate key", "sizes.fleet.minimum", sandbox("[sizes.fleet]\nminimum = 2\nminimum = 3 # <-\n"), "in line 7"),
    bad("duplicate table", "sizes.fleet", sandbox("[sizes.fleet]\n[sizes.fleet] # <-\n"), "first in line 6"),
    bad("duplicate table", "pins", sandbox("[pins]\n[tags]\n[ pins ] # <-\n"), "is given twice, first in line 6"),
    bad("duplicate table", "stage.x", sandbox("[stage.x] # <-\n"), "is both a value and a table", "keep one"),
    # Not TOML.
    value("not TOML", "stage", "three", "is not TOML: Invalid value at column 9", 'found "stage = three', "quotes"),
    value("not TOML", "name", '"shop', "is not TOML: Illegal character", "close the quote or bracket"),
    value("not TOML", "name", '"sh\\op"', "is not TOML: Unescaped", "write each backslash twice"),
    bad("not TOML", "stage", sandbox("stage: 3 # <-\n"), "is not TOML: Expected '='", "write it as key = value"),
    bad("not TOML", "", sandbox("= 3 # <-\n"), "is not TOML: Invalid statement at column 1", "https://toml.io"),
    bad("not TOML", "pins", sandbox("[pins # <-\n"), "is not TOML: Expected ']'"),
    bad("not TOML", "open_to[0]", sandbox(open_to='["192.0.2.0/24" # <-'), "is not TOML: Unclosed array", "bracket"),
    bad("not TOML", "", sandbox("\v# <-\n"), "is not TOML: Invalid statement", 'found "'),
    value("too long", "stage", "1" * 5000, "is too long, found 5013 characters; use several lines"),
    value("too long", "budget_usd", "1" * 4000, "is out of range, found a number of more than 20 digits"),
    bad("nested too deep", "", sandbox("zones = " + "[\n" * 5000), "is nested too deep", "no setting needs that"),
    # Keys that only look like keys must not move the line.
    bad("look-alike", "budget_usd", sandbox('domain = """\nbudget_usd = 1"""\nbudget_usd = 0 # <-\n'), "found 0"),
    bad("look-alike", "budget_usd", sandbox("zones = ['budget_usd = 1', # ]\n]\nbudget_usd = 0 # <-\n"), "found 0"),
    bad("look-alike", "sizes.fleet.minimum", sandbox("[ sizes . 'fleet' ]\r\n\"minimum\" = 1 # <-\n"), "found 1"),
    # Nothing there.
    bad("empty", "", "", "is empty, found no settings", "environments/sandbox.toml"),
    bad("empty", "", "# nothing\n\n", "is empty, found no settings"),
]
