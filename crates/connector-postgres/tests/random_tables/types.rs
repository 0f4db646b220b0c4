//! Types of random columns, with a few values each: few, so that rows meet, and foreign keys find what they point at.

/// What a schema of types needs.
pub(crate) const OWN_TYPES: &str = r#"
    CREATE SCHEMA own;
    CREATE TYPE own."Mood, or so" AS ENUM ('ok', '', 'it''s "x", (y)', 'ü');
    CREATE TYPE own.pair AS ("A b" int, b text);
    CREATE DOMAIN own.positive AS int CHECK (value > 0);
    CREATE COLLATION own.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
"#;

/// A type of a column.
#[derive(Debug)]
pub(crate) struct Type {
    pub(crate) sql: &'static str,
    pub(crate) texts: &'static [&'static str],
    /// What a generated column makes of a value, as SQL with `{}` for it.
    pub(crate) generated: &'static str,
}

const fn of(sql: &'static str, texts: &'static [&'static str]) -> Type {
    Type { sql, texts, generated: "{} IS NULL" }
}

const fn with(sql: &'static str, texts: &'static [&'static str], generated: &'static str) -> Type {
    Type { sql, texts, generated }
}

/// Types whose values can be keys. By the first ones tables can be partitioned.
pub(crate) const KEYS: &[Type] = &[
    with("int", &["0", "1", "2", "3", "4", "5", "6", "7", "8", "-7", "2147483647"], "{} % 7"),
    with("text", &["", "a", "A", "it's \"q\", (x) {y}\\", "NULL", "b", "c", "d", "e"], "{} || 'x'"),
    of("date", &["2026-01-01", "infinity", "4714-11-24 BC", "2026-01-02", "2026-01-03", "2024-02-29"]),
    of(
        "uuid",
        &[
            "00000000-0000-0000-0000-000000000000",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "10000000-0000-0000-0000-000000000000",
            "20000000-0000-0000-0000-000000000000",
        ],
    ),
    with("bigint", &["0", "1", "2", "3", "4", "5", "6", "7", "9223372036854775807"], "{} % 5"),
    with(
        "numeric",
        &["1", "1.0", "1.00", "NaN", "0.10", "2", "3", "-12345678901234567890.5"],
        "trunc({}, 1)",
    ),
    of("numeric(6,2)", &["1", "1.50", "-0.01", "2", "3", "4"]),
    with("varchar(8)", &["", "a", "ab ", "ü\n", "b", "c"], "upper({})"),
    of("char(3)", &["", "a", "ab", "abc", "b", "c"]),
    of("bool", &["true", "false"]),
    of("bytea", &["\\x", "\\x00ff", "\\x5c27", "\\x01", "\\x02"]),
    of("timestamptz", &["2026-01-01 00:00:00+00", "-infinity", "2026-06-01 12:00:00.000001+02"]),
    of("interval", &["1 mon", "30 days", "720:00:00", "-1 year +3 days", "1 day", "24:00:00", "1 sec"]),
    of("float8", &["0", "-0", "NaN", "0.1", "5e-324", "1", "2"]),
    of("own.\"Mood, or so\"", &["ok", "", "it's \"x\", (y)", "ü"]),
    of("own.pair", &["(1,a)", "(1,\"\")", "(2,\"a\"\"b, c\")", "(,)"]),
    of("own.positive", &["1", "2", "3", "4", "5"]),
    of("text COLLATE own.ci", &["a", "A", "ä", "b", "B", "c"]),
    of("int[]", &["{}", "{1,NULL}", "[0:1]={1,2}", "{{1},{2}}"]),
    of("text[]", &["{}", "{\"a,\\\"b\\\\\",NULL,\"NULL\"}", "{\"\"}"]),
    of("int4range", &["empty", "[1,5)", "(,)", "[1,)", "[2,3)"]),
    of("inet", &["10.0.0.1", "10.0.0.1/24", "::1", "10.0.0.2"]),
    of("bit(3)", &["101", "000", "001", "010"]),
    of("jsonb", &["{\"a\": 1.50}", "[1, null]", "\"x\"", "1.0", "1"]),
    of("tsvector", &["", "'a b':1A"]),
];

/// Types of which only plain columns can be.
pub(crate) const OTHERS: &[Type] = &[
    of("json", &["{ \"b\" : 1.50, \"a\":[ ] }", "[1,  2]", "\"x\""]),
    of("xml", &["<a> x </a>", "", "a &amp; b"]),
    of("point", &["(0,-0)", "(1.5,NaN)"]),
    of("path", &["((0,0),(1,1))", "[(0,0),(1,1)]"]),
    of("own.pair[]", &["{}", "{\"(1,\\\"a b\\\")\",NULL}"]),
];

/// The type of that number.
pub(crate) fn any(number: usize) -> &'static Type {
    let number = number % (KEYS.len() + OTHERS.len());
    KEYS.get(number).unwrap_or_else(|| &OTHERS[number - KEYS.len()])
}

impl Type {
    /// A value as SQL; now and then null.
    pub(crate) fn literal(&self, number: u8) -> String {
        literal(self.text(number))
    }

    /// A value as text; now and then none, which is null.
    pub(crate) fn text(&self, number: u8) -> Option<&'static str> {
        self.texts.get(usize::from(number) % (self.texts.len() + 1)).copied()
    }

    pub(crate) fn is_json(&self) -> bool {
        self.sql.starts_with("json")
    }
}

pub(crate) fn literal(text: Option<&str>) -> String {
    text.map_or_else(
        || "NULL".to_owned(),
        |text| format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''")),
    )
}

/// The text of a value of any type, as SQL: what its output function writes.
pub(crate) fn text(value: &str) -> String {
    format!("CASE WHEN {value} IS DISTINCT FROM NULL THEN format('%s', {value}) END")
}
