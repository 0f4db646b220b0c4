//! Values that are easily lost, for every type that a column can have.

/// The text of values.
type Texts = &'static [&'static str];

/// Text with what quoting, escaping and trimming get wrong.
const STRINGS: Texts = &[
    "",
    " ",
    "  leading and trailing  ",
    "it's \"quoted\", (in) {braces} [and] <more>",
    "back\\slash \\\\ \\N \\. \\x00",
    "NULL",
    "null",
    "{}",
    "()",
    "\"\"",
    ",",
    "'; DROP TABLE t; --",
    "line\nline\r\nline\ttab\u{1}\u{7f}",
    "ü \u{1f600} \u{feff} e\u{301} \u{202e}",
    "$1 %s %I ${x} :name ?",
];

/// Base types, ranges, multiranges and domains of a stock server, by name.
pub(crate) const STOCK: &[(&str, Texts)] = &[
    ("bool", &["true", "false"]),
    ("bytea", &["\\x", "\\x00", "\\x00ff5c27220a", "\\xc3bc"]),
    ("char", &["", "a", " ", "'", "\"", "\\", ",", "(", "{", "\n", "\\310"]),
    (
        "name",
        &["", "a", "a\"b'c, d", "ü.x", "A name that is just sixty-three bytes long, which is the longest"],
    ),
    ("int8", &["0", "-9223372036854775808", "9223372036854775807"]),
    ("int2", &["0", "-32768", "32767"]),
    ("int2vector", &["", "1", "1 -2 32767"]),
    ("int4", &["0", "-2147483648", "2147483647"]),
    ("regproc", &["-", "pg_catalog.now", "4294967295"]),
    ("text", STRINGS),
    ("oid", &["0", "4294967295"]),
    ("tid", &["(0,0)", "(4294967295,65535)"]),
    ("xid", &["0", "4294967295"]),
    ("cid", &["0", "4294967295"]),
    ("oidvector", &["", "1", "1 2 4294967295"]),
    (
        "json",
        &[
            "{ \"b\" : 1.50,\n\"a\":[ 1e2,{}],\t\"b\":2 }",
            " [1 ]\n",
            "\"a \\u00fc \\\\ \\\" \\n\"",
            "null",
            "[]",
            "1e-400",
            "12345678901234567890.123456789012345678901234567890",
        ],
    ),
    (
        "xml",
        &[
            "",
            "<a> x </a>",
            "a &amp; b",
            " <!-- c --> <a/>\n<b c='d\"'/>",
            "<?xml version=\"1.0\" standalone=\"yes\"?><a/>",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><a>ü</a>",
            "<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>",
        ],
    ),
    ("xid8", &["0", "18446744073709551615"]),
    ("point", &["(0,-0)", "(1e-300,Infinity)", "(NaN,0.1)"]),
    ("lseg", &["[(0,0),(1,2.5)]", "[(0.1,0.2),(0.1,0.2)]"]),
    ("path", &["((0,0),(1,1),(2,0))", "[(0,0),(1,1)]", "[(0.1,0.2)]"]),
    ("box", &["(1,1),(0,0)", "(0,0),(-1.5,-2)"]),
    ("polygon", &["((0,0),(1,1),(2,0))", "((0.1,0.2))"]),
    ("line", &["{1,2,3}", "{0.1,-1,0}"]),
    ("float4", &["0", "-0", "NaN", "Infinity", "-Infinity", "1e-45", "3.4028235e38", "0.1", "16777217"]),
    (
        "float8",
        &[
            "0",
            "-0",
            "NaN",
            "Infinity",
            "-Infinity",
            "5e-324",
            "2.2250738585072014e-308",
            "1.7976931348623157e308",
            "0.1",
            "0.30000000000000004",
        ],
    ),
    ("circle", &["<(0,0),0>", "<(0.1,-2),1e300>"]),
    ("money", &["0", "-92233720368547758.08", "92233720368547758.07", "$1,234.56"]),
    ("macaddr", &["08:00:2b:01:02:03", "00:00:00:00:00:00"]),
    ("inet", &["192.168.0.1/24", "10.0.0.1", "::ffff:1.2.3.4/128", "2001:db8::1/64", "0.0.0.0/0"]),
    ("cidr", &["192.168.0.0/24", "10.0.0.1/32", "2001:db8::/32", "::/0"]),
    ("macaddr8", &["08:00:2b:01:02:03:04:05"]),
    ("aclitem", &["postgres=arwdDxt/postgres", "=r*/postgres", "postgres=/postgres"]),
    ("bpchar", STRINGS),
    ("varchar", STRINGS),
    ("date", &["infinity", "-infinity", "4714-11-24 BC", "5874897-12-31", "0001-01-01", "2024-02-29"]),
    ("time", &["00:00:00", "24:00:00", "23:59:59.999999", "12:30:00.1"]),
    (
        "timestamp",
        &[
            "infinity",
            "-infinity",
            "4714-11-24 00:00:00 BC",
            "0044-03-15 12:00:00.000001 BC",
            "294276-12-31 23:59:59.999999",
            "2000-01-01 00:00:00",
        ],
    ),
    (
        "timestamptz",
        &[
            "infinity",
            "-infinity",
            "4714-11-24 00:00:00+00 BC",
            "0044-03-15 12:00:00.000001+00 BC",
            "294276-12-31 23:59:59.999999+00",
            "1883-11-18 12:03:57.000001-04:56:02",
        ],
    ),
    (
        "interval",
        &[
            "0",
            "1 year -2 mons +3 days -04:05:06.000007",
            "-1 year -2 mons -3 days -00:00:00.000001",
            "1 mon",
            "30 days",
            "720:00:00",
            "178956970 years 7 mons",
            "-178956970 years -7 mons",
            "2147483647 days",
            "-2147483648 days",
            "2562047788:00:54.775807",
        ],
    ),
    ("timetz", &["24:00:00-15:59:59", "00:00:00+15:59:59", "12:00:00.000001+05:30", "00:00:00+00"]),
    ("bit", &["", "0", "1", "0000000010000000", "101"]),
    ("varbit", &["", "0", "1", "0000000010000000", "101"]),
    (
        "numeric",
        &[
            "NaN",
            "Infinity",
            "-Infinity",
            "0",
            "0.000",
            "1.10",
            "1.100",
            "-0.1",
            "1e300",
            "1e-1000",
            "1e-16383",
            "10000.00001000000000000",
        ],
    ),
    ("refcursor", &["", "a\"b c"]),
    ("regoper", &["0", "pg_catalog.||/", "4294967295"]),
    ("regoperator", &["0", "pg_catalog.*(integer,integer)", "pg_catalog.-(NONE,integer)"]),
    ("regprocedure", &["-", "pg_catalog.sum(integer)", "pg_catalog.now()"]),
    ("regclass", &["-", "pg_catalog.pg_class", "own.\"od\"\"d. Table\"", "4294967295"]),
    ("regtype", &["-", "integer", "own.\"Mood, or \"\"so\"", "integer[]"]),
    ("regrole", &["-", "postgres", "4294967295"]),
    ("regnamespace", &["-", "own", "pg_catalog"]),
    ("regconfig", &["pg_catalog.english"]),
    ("regdictionary", &["pg_catalog.simple"]),
    ("regcollation", &["-", "pg_catalog.\"C\""]),
    ("uuid", &["00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    ("pg_lsn", &["0/0", "FFFFFFFF/FFFFFFFF", "16/B374D848"]),
    ("tsvector", &["", "'a b':1A,3 '''':2B 'ü':16383 '\\\\':4", "'x'"]),
    ("tsquery", &["", "'a b':*A & !'c' <2> 'd' | ''''", "'\\\\'"]),
    (
        "jsonb",
        &[
            "{\"a\": 1.50, \"aa\": null, \"b\": [1e2, {}, \"\\\\ \\\" ü\"]}",
            "null",
            "\"text\"",
            "[]",
            "12345678901234567890.12345678901234567890",
            "1e100",
            "-0.0",
        ],
    ),
    ("jsonpath", &["$.\"a b\"[*]?(@ > 1 && @.\"x\" like_regex \"^a\\\\d\")", "strict $.a", "$"]),
    ("txid_snapshot", &["10:20:10,14,15", "1:1:"]),
    ("pg_snapshot", &["10:20:10,14,15", "1:1:"]),
    ("int4range", &["empty", "(,)", "[1,5)", "(,5)", "[1,)"]),
    ("int8range", &["empty", "(,)", "[-9223372036854775808,9223372036854775807)"]),
    ("numrange", &["empty", "(1.50,2.0]", "[NaN,NaN]", "[1,Infinity)"]),
    ("tsrange", &["empty", "[\"2026-01-01 00:00:00\",infinity]", "(-infinity,\"0044-03-15 00:00:00 BC\")"]),
    ("tstzrange", &["empty", "[\"2026-01-01 00:00:00+00\",infinity]", "(,\"0044-03-15 00:00:00+00 BC\")"]),
    ("daterange", &["empty", "[2026-01-01,infinity)", "(,2026-01-01)"]),
    ("int4multirange", &["{}", "{[1,3),[5,)}", "{(,)}"]),
    ("int8multirange", &["{}", "{[1,3),[5,)}"]),
    ("nummultirange", &["{}", "{[1.50,3.0],(5,NaN]}"]),
    ("tsmultirange", &["{}", "{[\"2026-01-01 00:00:00\",infinity]}"]),
    ("tstzmultirange", &["{}", "{[\"2026-01-01 00:00:00+00\",infinity]}"]),
    ("datemultirange", &["{}", "{[2026-01-01,2026-01-05),[2026-02-01,infinity)}"]),
    ("cardinal_number", &["0", "2147483647"]),
    ("character_data", STRINGS),
    ("sql_identifier", &["", "a\"b'c, d"]),
    ("yes_or_no", &["YES", "NO"]),
    ("time_stamp", &["infinity", "2026-01-01 00:00:00.12+00"]),
];

/// Types of columns that an undo could not write back, because their input functions take nothing.
pub(crate) const UNREADABLE: &[&str] = &[
    "gtsvector",
    "pg_node_tree",
    "pg_ndistinct",
    "pg_dependencies",
    "pg_mcv_list",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
];

/// Types of people's own, and the table that a value may name.
pub(crate) const OWN_TYPES: &str = r#"
    CREATE SCHEMA own;
    CREATE TABLE own."od""d. Table" (id int);
    CREATE TYPE own."Mood, or ""so" AS ENUM ('', 'ok', 'it''s "x", (y)', 'ü', 'null', '\', '{a}');
    CREATE TYPE own.pair AS ("A b" int, "c,""d" text);
    CREATE TYPE own.nested AS (p own.pair, ps own.pair[], m own."Mood, or ""so"[], j json, n numeric);
    CREATE TYPE own.nothing AS ();
    CREATE DOMAIN own.positive AS int CHECK (value > 0);
    CREATE DOMAIN own.present AS text NOT NULL DEFAULT 'x';
    CREATE DOMAIN own.list AS int[] CHECK (array_length(value, 1) < 5);
    CREATE DOMAIN own.pairs AS own.pair CHECK ((value)."A b" IS DISTINCT FROM 0);
    CREATE DOMAIN own.deep AS own.list;
    CREATE DOMAIN own.doc AS json;
    CREATE DOMAIN own.code AS char(4);
    CREATE TYPE own.texts AS RANGE (subtype = text, collation = "C", multirange_type_name = own.manytexts);
    CREATE TYPE own.floats AS RANGE (subtype = float8);
"#;

/// They, and types with length or precision, as a column has them.
pub(crate) const OWN: &[(&str, Texts)] = &[
    ("own.\"Mood, or \"\"so\"", &["", "ok", "it's \"x\", (y)", "ü", "null", "\\", "{a}"]),
    ("own.pair", &["(,)", "(1,)", "(,\"\")", "(2,\"a\"\"b\\\\c, (d) {e}\")", "(3,\" x\ny \")"]),
    (
        "own.nested",
        &[
            "(,,,,)",
            "(\"(,)\",{},{},,NaN)",
            "(\"(1,\"\"a \"\"\"\"b\"\"\"\"\"\")\",\"{\"\"(2,\\\\\"\"x,y\\\\\"\")\"\",NULL,\"\"(,)\"\"}\",\"{ok,\"\"\"\"}\",\"{ \"\"a\"\": 1 }\",1.10)",
        ],
    ),
    ("own.nothing", &["()"]),
    ("own.positive", &["1", "2147483647"]),
    ("own.list", &["{}", "{1,NULL,3}", "[-1:0]={1,2}"]),
    ("own.deep", &["{}", "{1,NULL,3}", "[-1:0]={1,2}"]),
    ("own.pairs", &["(1,\"a \"\"b\"\"\")"]),
    ("own.doc", &["{ \"a\" : 1, \"a\":2 }", "null"]),
    ("own.code", &["ab", "abcd", "", "a'\"\\"]),
    ("own.texts", &["empty", "[\"\",\"a\"\"b,c\")", "[\"\\\\\",)", "(,\"x y\"]"]),
    ("own.manytexts", &["{}", "{[\"a,\"\"b\",c),[d,)}"]),
    ("own.floats", &["[-0,1e-300]", "(-Infinity,0.1)"]),
    ("char(5)", &["", "ab", "abcde", "a'\"\\"]),
    ("varchar(5)", &["", "ab   ", "abcde"]),
    ("numeric(9,3)", &["1", "123456.789", "NaN", "-0.001"]),
    ("numeric(1000,500)", &["1", "1e300"]),
    ("bit(3)", &["101", "000"]),
    ("varbit(5)", &["", "101", "00000"]),
    ("timestamp(2)", &["2026-01-01 00:00:00.12", "infinity"]),
    ("timestamptz(0)", &["2026-01-01 00:00:00+05"]),
    ("time(3)", &["23:59:59.999"]),
    ("interval day to second(3)", &["3 days 04:05:06.007", "-3 days"]),
    ("interval year to month", &["1 year 2 mons"]),
];
