//! Random schemas: what is drawn, and what SQL is made of it.

use std::fmt::Write as _;

use proptest::prelude::*;

use crate::types::{KEYS, Type, any as any_type, literal};

/// Names that quoting gets wrong, and those that the connector's own statements use.
const NAMES: [&str; 18] = [
    "id",
    "a\"b",
    "select",
    "x.y",
    "ü",
    "k",
    "f0",
    "n",
    "enact_t",
    "Two Words",
    "$1",
    "c,d",
    "'q'",
    "f1",
    "a",
    "b",
    "{z}",
    "row",
];
const ACTIONS: [&str; 5] = ["NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"];
const DEFERRABLE: [&str; 4] = ["", "", "DEFERRABLE", "DEFERRABLE INITIALLY DEFERRED"];

/// What is drawn of a column.
#[derive(Clone, Debug)]
pub(crate) struct ColumnSpec {
    of: u8,
    not_null: bool,
    default: Option<u8>,
    check: Option<u8>,
    unique: Option<u8>,
    made: Made,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Made {
    Plainly,
    Generated,
    Always,
    ByDefault,
}

/// What is drawn of a table.
#[derive(Clone, Debug)]
pub(crate) struct TableSpec {
    names: u8,
    key: Vec<u8>,
    partitioned: bool,
    columns: Vec<ColumnSpec>,
}

/// What is drawn of a foreign key.
#[derive(Clone, Debug)]
pub(crate) struct ForeignSpec {
    child: u8,
    parent: u8,
    /// Points at a unique column rather than at the primary key, where there is one.
    at_unique: bool,
    on_delete: u8,
    on_update: u8,
    deferrable: u8,
    default: u8,
    not_null: bool,
    /// With the columns of an earlier key, where their types are the same.
    shared: bool,
    /// The columns are in the primary key too.
    in_key: bool,
    /// Points at its own table.
    at_itself: bool,
    /// Points at one partition, where there are some.
    at_partition: bool,
}

pub(crate) fn table() -> impl Strategy<Value = TableSpec> {
    let key = prop_oneof![12 => prop::collection::vec(any::<u8>(), 1..2), 6 => prop::collection::vec(any::<u8>(), 2..4),
                          1 => Just(Vec::new())];
    (any::<u8>(), key, prop::bool::weighted(0.2), prop::collection::vec(column(), 0..5))
        .prop_map(|(names, key, partitioned, columns)| TableSpec { names, key, partitioned, columns })
}

fn column() -> impl Strategy<Value = ColumnSpec> {
    let made = prop_oneof![8 => Just(Made::Plainly), 2 => Just(Made::Generated), 1 => Just(Made::Always),
                           1 => Just(Made::ByDefault)];
    let maybe = |weight| prop::option::weighted(weight, any::<u8>());
    (any::<u8>(), prop::bool::weighted(0.2), maybe(0.3), maybe(0.15), maybe(0.2), made).prop_map(
        |(of, not_null, default, check, unique, made)| ColumnSpec {
            of,
            not_null,
            default,
            check,
            unique,
            made,
        },
    )
}

pub(crate) fn foreign() -> impl Strategy<Value = ForeignSpec> {
    let flags = (
        prop::bool::weighted(0.35),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.15),
        prop::bool::weighted(0.3),
    );
    (any::<[u8; 6]>(), flags).prop_map(
        |(
            [child, parent, on_delete, on_update, deferrable, default],
            (at_unique, not_null, shared, in_key, at_itself, at_partition),
        )| ForeignSpec {
            child,
            parent,
            at_unique,
            on_delete,
            on_update,
            deferrable,
            default,
            not_null,
            shared,
            in_key,
            at_itself,
            at_partition,
        },
    )
}

/// A table as it is made.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// Its name as SQL, and as requests give it.
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    key: Vec<usize>,
    partitioned: bool,
    /// Constraints.
    more: Vec<String>,
    /// Whether a foreign key points here.
    pub(crate) pointed_at: bool,
    names: u8,
}

#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) of: &'static Type,
    /// Given by the server alone.
    pub(crate) own: bool,
    unique: bool,
    sql: String,
    /// In a foreign key: its first column here, and the table and column pointed at, as SQL.
    points: Option<(usize, String, String)>,
}

pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Table {
    fn new(schema: &str, number: usize, spec: &TableSpec) -> Self {
        let name = format!("{}.{}", quoted(schema), quoted(&format!("{}{number}", spec.pick_name())));
        let (columns, key, more) = (Vec::new(), Vec::new(), Vec::new());
        let mut table =
            Self { name, columns, key, more, partitioned: false, pointed_at: false, names: spec.names };
        for of in &spec.key {
            let of = &KEYS[usize::from(*of) % KEYS.len()];
            let at = table.add(of, false, String::new());
            table.key.push(at);
        }
        // Only the first few types are all of one kind of order and hash.
        let first =
            table.columns.first().is_some_and(|first| KEYS[..4].iter().any(|of| of.sql == first.of.sql));
        table.partitioned = spec.partitioned && first;
        if table.key.is_empty() {
            // Rows without a key have to differ to be told apart.
            table.add(&KEYS[4], true, "GENERATED ALWAYS AS IDENTITY".into());
        }
        for column in &spec.columns {
            table.add_drawn(column);
        }
        table
    }

    fn add(&mut self, of: &'static Type, own: bool, sql: String) -> usize {
        let at = self.columns.len();
        let name = NAMES[(usize::from(self.names) + at) % NAMES.len()].to_owned();
        self.columns.push(Column { name, of, own, unique: false, sql, points: None });
        at
    }

    fn add_drawn(&mut self, spec: &ColumnSpec) {
        let mut of = any_type(usize::from(spec.of));
        let mut sql = String::new();
        match spec.made {
            Made::Always | Made::ByDefault if !self.partitioned => {
                of = &KEYS[4];
                let when = if spec.made == Made::Always { "ALWAYS" } else { "BY DEFAULT" };
                sql = format!("GENERATED {when} AS IDENTITY");
            }
            Made::Generated if !self.columns.is_empty() => {
                let from = &self.columns[usize::from(spec.of) % self.columns.len()];
                if from.sql.starts_with("GENERATED") {
                    return;
                }
                let value = from.of.generated.replace("{}", &quoted(&from.name));
                of = if from.of.generated.contains("NULL") { &KEYS[9] } else { from.of };
                sql = format!("GENERATED ALWAYS AS ({value}) STORED");
            }
            _ => {
                if let Some(default) = spec.default {
                    let _infallible = write!(sql, "DEFAULT {} ", of.literal(default));
                }
                if spec.not_null {
                    sql.push_str("NOT NULL ");
                }
            }
        }
        let at = self.add(of, spec.made == Made::Generated || spec.made == Made::Always, sql);
        let name = quoted(&self.columns[at].name);
        if let Some(check) = spec.check.filter(|_| spec.made == Made::Plainly) {
            self.more.push(format!("CHECK ({name}::text IS DISTINCT FROM {}::text)", of.literal(check)));
        }
        // What others are to point at has to be unique, and few columns are generated.
        let unique = spec.unique.or((spec.made == Made::Generated).then_some(spec.of));
        if let Some(unique) = unique.filter(|_| KEYS.iter().any(|key| key.sql == of.sql)) {
            let first =
                if self.partitioned { format!("{}, ", quoted(&self.columns[0].name)) } else { String::new() };
            let deferrable = DEFERRABLE[usize::from(unique) % DEFERRABLE.len()];
            self.more.push(format!("UNIQUE ({first}{name}) {deferrable}"));
            // A foreign key cannot point at what is unique only at COMMIT.
            self.columns[at].unique = !self.partitioned && deferrable.is_empty();
        }
    }

    /// A value for a new row; null only where it may be.
    fn text(&self, at: usize, number: u8) -> Option<&'static str> {
        let column = &self.columns[at];
        let needed = self.key.contains(&at) || column.sql.contains("NOT NULL");
        column.of.text(number).or_else(|| column.of.texts.first().copied().filter(|_| needed))
    }

    /// A value for a column of a row that has drawn these numbers, as SQL: in a foreign key mostly one that is there.
    pub(crate) fn drawn(&self, at: usize, drawn: &[u8]) -> String {
        match &self.columns[at].points {
            Some((first, table, column)) if drawn[*first] % 4 != 3 => format!(
                "(SELECT t.{column} FROM {table} AS t ORDER BY t::text OFFSET {} LIMIT 1)",
                drawn[*first] / 4 % 4
            ),
            _ => literal(self.text(at, drawn[at])),
        }
    }

    /// A column that an update may set; now and then one that it may not.
    pub(crate) fn settable(&self, number: usize) -> usize {
        let at = number % self.columns.len();
        let others = (at..self.columns.len()).chain(0..at);
        others.into_iter().find(|at| !self.columns[*at].own || number > 240).unwrap_or(at)
    }

    /// The columns that a foreign key points at.
    fn pointed_at(&self, unique: bool) -> Vec<usize> {
        let generated = |column: &Column| column.unique && column.sql.contains("STORED");
        let unique = if unique {
            let first = self.columns.iter().position(generated);
            first.or_else(|| self.columns.iter().position(|column| column.unique))
        } else {
            None
        };
        unique.map_or_else(|| self.key.clone(), |at| vec![at])
    }

    /// The name of a partition.
    fn partition(&self, number: u8) -> String {
        format!("{}p{number}\"", self.name.strip_suffix('"').unwrap_or(&self.name))
    }

    fn list(&self, columns: &[usize]) -> String {
        columns.iter().map(|at| quoted(&self.columns[*at].name)).collect::<Vec<_>>().join(", ")
    }

    fn create(&self) -> String {
        let mut parts: Vec<String> =
            self.columns.iter().map(|c| format!("{} {} {}", quoted(&c.name), c.of.sql, c.sql)).collect();
        if !self.key.is_empty() {
            parts.push(format!("PRIMARY KEY ({})", self.list(&self.key)));
        }
        parts.extend(self.more.iter().cloned());
        let parts = parts.join(", ");
        let Some(first) = self.columns.first().filter(|_| self.partitioned) else {
            return format!("CREATE TABLE {} ({parts});", self.name);
        };
        let how = ["HASH", "LIST", "RANGE"][usize::from(self.names) % 3];
        let low = first.of.literal(0);
        let partition = |number: u8, what: &str| {
            format!("CREATE TABLE {} PARTITION OF {} {what};", self.partition(number), self.name)
        };
        let (one, two) = match how {
            "HASH" => (
                "FOR VALUES WITH (MODULUS 2, REMAINDER 0)".into(),
                "FOR VALUES WITH (MODULUS 2, REMAINDER 1)".into(),
            ),
            "LIST" => (format!("FOR VALUES IN ({low})"), "DEFAULT".to_owned()),
            _ => (
                format!("FOR VALUES FROM (MINVALUE) TO ({low})"),
                format!("FOR VALUES FROM ({low}) TO (MAXVALUE)"),
            ),
        };
        let (one, two) = (partition(1, &one), partition(2, &two));
        format!(
            "CREATE TABLE {} ({parts}) PARTITION BY {how} ({}); {one} {two}",
            self.name,
            quoted(&first.name)
        )
    }
}

impl TableSpec {
    fn pick_name(&self) -> &'static str {
        NAMES[usize::from(self.names / 3) % NAMES.len()]
    }
}

/// The tables, and the SQL that makes them, of which some parts may be refused by the server.
pub(crate) fn make(schema: &str, tables: &[TableSpec], foreign: &[ForeignSpec]) -> (Vec<Table>, Vec<String>) {
    let mut tables: Vec<Table> =
        tables.iter().enumerate().map(|(number, spec)| Table::new(schema, number, spec)).collect();
    // A key is complete before anything points at it: columns come into it from tables further up alone.
    let mut foreign = foreign.to_vec();
    for spec in &mut foreign {
        spec.child %= u8::try_from(tables.len()).unwrap();
        spec.parent %= u8::try_from(tables.len()).unwrap();
        if spec.at_itself {
            spec.child = spec.parent;
        }
        spec.in_key &= spec.child > spec.parent;
    }
    foreign.sort_by_key(|spec| (!spec.in_key, spec.parent));
    let keys: Vec<String> = foreign.iter().filter_map(|spec| point(&mut tables, spec)).collect();
    let mut sql: Vec<String> = tables.iter().map(Table::create).collect();
    sql.extend(keys);
    (tables, sql)
}

/// Adds the columns of a foreign key, and gives the statement that adds the key itself.
fn point(tables: &mut [Table], spec: &ForeignSpec) -> Option<String> {
    let (child, parent) = (usize::from(spec.child), usize::from(spec.parent));
    let pointed_at = tables[parent].pointed_at(spec.at_unique);
    if pointed_at.is_empty() || tables[child].columns.len() + pointed_at.len() > NAMES.len() {
        return None;
    }
    let types: Vec<&'static Type> = pointed_at.iter().map(|at| tables[parent].columns[*at].of).collect();
    let referenced = tables[parent].list(&pointed_at);
    let one = tables[parent].partitioned && spec.at_partition;
    let to = if one { tables[parent].partition(1) } else { tables[parent].name.clone() };
    tables[parent].pointed_at = true;
    let of = &mut tables[child];
    let before = of.columns.len();
    let fits = |at: usize| {
        of.columns[at..]
            .iter()
            .take(types.len())
            .map(|column| column.of.sql)
            .eq(types.iter().map(|of| of.sql))
    };
    let from = if spec.shared {
        (0..before).find(|at| (child, *at) != (parent, pointed_at[0]) && fits(*at))
    } else {
        None
    };
    let from = from.unwrap_or_else(|| {
        for kind in &types {
            let default = if spec.default.is_multiple_of(2) {
                String::new()
            } else {
                format!("DEFAULT {}", kind.literal(spec.default / 2))
            };
            let not_null = if spec.not_null { "NOT NULL" } else { "" };
            of.add(kind, false, format!("{default} {not_null}"));
        }
        if spec.in_key {
            of.key.extend(before..of.columns.len());
        }
        before
    });
    let columns: Vec<usize> = (from..from + types.len()).collect();
    for (at, column) in columns.iter().zip(referenced.split(", ")) {
        let points = (from, to.clone(), column.to_owned());
        of.columns[*at].points.get_or_insert(points);
    }
    let pick = |from: &[&'static str], number: u8| from[usize::from(number) % from.len()];
    Some(format!(
        "ALTER TABLE {} ADD FOREIGN KEY ({}) REFERENCES {to} ({referenced}) ON DELETE {} ON UPDATE {} {};",
        of.name,
        of.list(&columns),
        pick(&ACTIONS, spec.on_delete),
        pick(&ACTIONS, spec.on_update),
        pick(&DEFERRABLE, spec.deferrable),
    ))
}
