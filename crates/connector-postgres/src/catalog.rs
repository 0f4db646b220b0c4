//! What the server's catalog says of a table. Nothing about keys, columns and types is ever guessed.
//!
//! A description is kept between actions and checked within each transaction, after the table is locked: where
//! anything of it has changed since, the action begins anew with a new description.
//!
//! Every function in a statement of this connector stands with its schema, `pg_catalog`. In any schema of the role's
//! search path others may make one whose parameters fit better, which would run with the role's rights and forge what
//! is recorded. Operators stand without: those of a type of an extension are found by the search path.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use enact_core::{Error, ErrorCode};
use parking_lot::Mutex;
use serde::Deserialize;

use crate::error::{internal, is_not_understood, wrong};
use crate::name::{TableName, quoted};
use crate::tx::Tx;

/// How many descriptions are kept. More tables than this are described anew now and then.
const MAX_KEPT: usize = 1024;

/// A table, or what can be read like one.
#[derive(Debug, Deserialize)]
pub(crate) struct Table {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    /// `r` a table, `p` a partitioned one, `v`, `m`, `f`: views and foreign tables.
    kind: String,
    /// Whether its rows survive a crash of the server, those of all its partitions.
    logged: bool,
    /// Whether some of its partitions are foreign tables.
    foreign_partitions: bool,
    /// Whether other tables inherit from it, without being partitions.
    inherited: bool,
    /// Whether rules rewrite statements on it.
    rules: bool,
    /// Whether row-level security applies to this role.
    pub(crate) row_security: bool,
    pub(crate) columns: Vec<Column>,
    /// The names of the primary key's columns, in its order; empty without one.
    pub(crate) key: Vec<String>,
    /// Whether some of its constraints are checked at COMMIT, or can be.
    pub(crate) deferrable: bool,
    /// Whether rows may be there that some constraint would not let in again, because it is NOT VALID.
    pub(crate) unvalidated: bool,
    /// Triggers that people made, as `NAME (BEFORE UPDATE …)`, those that run for rows of its partitions too.
    pub(crate) triggers: Vec<String>,
    /// Foreign keys of other tables, and its own, that point here.
    pub(crate) incoming: Vec<ForeignKey>,
    /// What changes whenever any of this does.
    #[serde(skip)]
    fingerprint: String,
}

/// A column.
#[derive(Debug, Deserialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// The type with its schema, quoted where needed, without length or precision.
    #[serde(rename = "type")]
    pub(crate) type_name: String,
    /// Length or precision; -1 without.
    pub(crate) typmod: i32,
    /// The type below all domains.
    base: u32,
    /// Whether the type is a domain.
    domain: bool,
    /// The type of an array's elements, below all domains; 0 where it is no array.
    element: u32,
    /// What separates an array's elements.
    pub(crate) delimiter: String,
    /// Computed by the server from other columns.
    pub(crate) generated: bool,
}

/// A foreign key that points at a table, at what it is a partition of, or at one of its partitions.
#[derive(Debug, Deserialize)]
pub(crate) struct ForeignKey {
    pub(crate) name: String,
    pub(crate) schema: String,
    pub(crate) table: String,
    /// The columns that point.
    pub(crate) columns: Vec<String>,
    /// The columns pointed at.
    pub(crate) referenced: Vec<String>,
    /// Schema and name of the partition pointed at: rows of other partitions are not meant.
    partition: Option<(String, String)>,
    /// `a` and `r` refuse, `c` cascades, `n` and `d` set null and default.
    on_delete: String,
    on_update: String,
}

/// What a change of the rows pointed at does to the rows that point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Referential {
    /// The server refuses the change.
    Refuse,
    /// They are deleted, or follow the key.
    Cascade,
    /// Their columns are set to null or their default.
    Set,
}

impl ForeignKey {
    pub(crate) fn on_delete(&self) -> Referential {
        referential(&self.on_delete)
    }

    pub(crate) fn on_update(&self) -> Referential {
        referential(&self.on_update)
    }

    pub(crate) fn child(&self) -> TableName {
        TableName::qualified(&self.schema, &self.table)
    }

    /// The partition pointed at: rows of other partitions are not meant.
    pub(crate) fn partition(&self) -> Option<TableName> {
        self.partition.as_ref().map(|(schema, name)| TableName::qualified(schema, name))
    }
}

fn referential(action: &str) -> Referential {
    match action {
        "c" => Referential::Cascade,
        "n" | "d" => Referential::Set,
        _ => Referential::Refuse,
    }
}

/// `oid` of types whose text depends on the search path; they are kept as their number.
/// Source: `pg_type.dat` of PostgreSQL 13 to 18; these numbers never change.
const REG_TYPES: [u32; 11] = [24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191];

/// `oid` of types whose cast to text is their plain text form: bool, int8, int2, int4, text, json, oid, float4, float8,
/// varchar, date, time, timestamp, timestamptz, timetz, numeric, uuid, jsonb, bytea, and xml, whose output function would
/// leave an encoding out. Each of them reads back whatever it wrote.
const PLAIN_TYPES: [u32; 20] =
    [16, 20, 21, 23, 25, 114, 26, 700, 701, 1043, 1082, 1083, 1114, 1184, 1266, 1700, 2950, 3802, 17, 142];

const JSON: u32 = 114;
const JSONB: u32 = 3802;
const XML_ARRAY: u32 = 143;

impl Column {
    /// Whether values are JSON documents.
    pub(crate) fn is_json(&self) -> bool {
        matches!(self.base, JSON | JSONB)
    }

    /// Whether the type has no equality of its own and is compared as jsonb.
    pub(crate) fn is_plain_json(&self) -> bool {
        self.base == JSON
    }

    /// Whether values are arrays.
    pub(crate) fn is_array(&self) -> bool {
        self.element != 0
    }

    /// Whether the elements of an array are JSON documents.
    pub(crate) fn has_json_elements(&self) -> bool {
        matches!(self.element, JSON | JSONB)
    }

    /// The value as text that reads back as the very same value: what the type's own output function writes. Where
    /// it is not certain that the type reads all of that, the server does so at once: what it could not give back
    /// (`pg_node_tree`, an interval out of bounds, a value that its domain no longer allows) is then never taken.
    fn image(&self, row: &str) -> String {
        let value = format!("{row}.{}", quoted(&self.name));
        let known = PLAIN_TYPES.contains(&self.base);
        if known && !self.domain {
            format!("{value}::text")
        } else if self.base == XML_ARRAY && !self.domain {
            format!("{value}::text[]::text")
        } else if known {
            format!("{value}::text::{}::text", self.type_name)
        } else if REG_TYPES.contains(&self.base) {
            format!("{value}::oid::text")
        } else {
            // A composite of nulls alone "is null" as well; only a null is not distinct from null.
            let again = format!("pg_catalog.format('%s', {value})::{}", self.type_name);
            format!("CASE WHEN {value} IS DISTINCT FROM NULL THEN pg_catalog.format('%s', {again}) END")
        }
    }

    /// The column's type with length or precision, as it is recorded and compared.
    pub(crate) fn shape(&self) -> String {
        if self.typmod < 0 { self.type_name.clone() } else { format!("{}({})", self.type_name, self.typmod) }
    }
}

impl Table {
    pub(crate) fn table_name(&self) -> TableName {
        TableName::qualified(&self.schema, &self.name)
    }

    /// The name as SQL.
    pub(crate) fn sql(&self) -> String {
        self.table_name().sql()
    }

    /// The place of a column.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// A column by its name.
    ///
    /// # Errors
    /// `invalid_parameters`, naming the column.
    pub(crate) fn column(&self, name: &str) -> Result<&Column, Error> {
        self.columns.iter().find(|column| column.name == name).ok_or_else(|| {
            let known = self.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
            unless_altered(wrong(format!(
                "table {} has no column '{name}'; it has: {known}",
                self.table_name()
            )))
        })
    }

    /// An array of the text of each column, for the row of that name.
    pub(crate) fn image(&self, row: &str) -> String {
        let columns = self.columns.iter().map(|column| column.image(row)).collect::<Vec<_>>().join(", ");
        format!("ARRAY[{columns}]::text[]")
    }

    /// The order in which rows are locked by everyone, so that two actions do not wait for each other.
    pub(crate) fn lock_order(&self, row: &str) -> String {
        let key = self.key.iter().map(|name| format!("{row}.{}", quoted(name))).collect::<Vec<_>>();
        if key.is_empty() { String::new() } else { format!(" ORDER BY {}", key.join(", ")) }
    }

    /// Whether its rows can be changed and given back.
    ///
    /// # Errors
    /// `unsupported`, with the reason.
    pub(crate) fn check_writable(&self) -> Result<(), Error> {
        let what = match self.kind.as_str() {
            "r" | "p" if self.rules => "has rules that rewrite statements",
            "r" if self.inherited => "has children by inheritance, whose rows would be changed with it",
            "r" | "p" if !self.logged => {
                "is not logged, or has a partition that is not, and is empty after a crash of the server"
            }
            "p" if self.foreign_partitions => {
                "has a partition that is a foreign table, whose server is outside the transaction"
            }
            "r" | "p" => return Ok(()),
            "v" => "is a view",
            "m" => "is a materialised view",
            "f" => "is a foreign table, whose server is outside the transaction",
            _ => "is no table",
        };
        let message = format!("{} {what}; what was done to it could not be undone", self.table_name());
        Err(crate::error::unsupported(message))
    }

    /// Whether its rows can point at each other by a foreign key.
    pub(crate) fn points_at_itself(&self) -> bool {
        self.incoming.iter().any(|key| key.schema == self.schema && key.table == self.name)
    }

    /// Whether its rows are in partitions.
    pub(crate) fn is_partitioned(&self) -> bool {
        self.kind == "p"
    }

    /// What people should know: code of the database's own runs along.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let warn = |trigger: &String| {
            format!(
                "trigger {trigger} of {} runs too; what it writes elsewhere is not undone",
                self.table_name()
            )
        };
        self.triggers.iter().map(warn).collect()
    }
}

/// A table that was altered since it was described.
#[derive(Debug)]
struct Altered;

impl fmt::Display for Altered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its description is out of date")
    }
}

impl std::error::Error for Altered {}

pub(crate) fn altered(name: &str) -> Error {
    Error::new(ErrorCode::Unavailable, format!("table {name} was altered meanwhile; nothing was changed"))
        .retryable()
        .left_nothing()
        .with_source(Altered)
}

/// An error that may come from a description that is out of date: it counts only when it is made again.
pub(crate) fn unless_altered(error: Error) -> Error {
    error.with_source(Altered)
}

/// Whether an error may come from a description that is out of date: it was found so, or the server does not
/// understand a statement that was made by it. For a request that is wrong itself, that costs one more try.
pub(crate) fn is_stale(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<Altered>()) || is_not_understood(error)
}

/// Descriptions of tables that were used, by the name that they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    known: Mutex<HashMap<TableName, Arc<Table>>>,
}

impl Catalog {
    /// The description of a table, kept or new.
    ///
    /// # Errors
    /// `not_found`, where there is no such table.
    pub(crate) async fn table(&self, tx: &Tx, name: &TableName) -> Result<Arc<Table>, Error> {
        let known = self.known.lock().get(name).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let table = Arc::new(describe(tx, name).await?);
        let mut known = self.known.lock();
        if known.len() >= MAX_KEPT {
            known.clear();
        }
        known.insert(name.clone(), Arc::clone(&table));
        Ok(table)
    }

    /// Forgets every description.
    pub(crate) fn forget(&self) {
        self.known.lock().clear();
    }
}

/// What is compared within each transaction: which table the name means now, and the versions of the catalog rows
/// that say what is dangerous to overlook: its primary key, and of its partitions too what they are, their columns,
/// row-level security and triggers. A foreign key that points at a table has a trigger there.
pub(crate) const FINGERPRINT: &str = "SELECT pg_catalog.current_setting('enact.session', true), \
     pg_catalog.concat_ws('/', c.oid, \
       (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(x.oid::int8), \
           pg_catalog.sum(x.xmin::text::int8)) \
         FROM pg_catalog.pg_class x WHERE x.oid = ANY (tree.oids)), \
       (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(a.xmin::text::int8)) \
         FROM pg_catalog.pg_attribute a WHERE a.attrelid = ANY (tree.oids) AND a.attnum > 0), \
       (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(t.oid::int8), \
           pg_catalog.sum(t.xmin::text::int8)) \
         FROM pg_catalog.pg_trigger t WHERE t.tgrelid = ANY (tree.oids)), \
       (SELECT pg_catalog.concat_ws(':', i.indexrelid, i.xmin) \
         FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)) \
     FROM pg_catalog.pg_class c \
     CROSS JOIN LATERAL (SELECT pg_catalog.array_prepend(c.oid, \
       ARRAY(SELECT relid::oid FROM pg_catalog.pg_partition_tree(c.oid))) AS oids) AS tree \
     WHERE c.oid = pg_catalog.to_regclass($1)";

/// Whether a description is still right, by the answer to [`FINGERPRINT`].
pub(crate) fn is_current(table: &Table, fingerprint: &str) -> bool {
    fingerprint == table.fingerprint
}

/// The fingerprint is asked for first: what changes before the description is made makes it a wrong one, and the
/// next check says so. The other way round it would pass for right what it had not seen. One statement would not do,
/// since some functions look at the catalog of this very moment, whatever the statement sees.
async fn describe(tx: &Tx, name: &TableName) -> Result<Table, Error> {
    let unknown = || {
        let message = format!(
            "there is no table {name} that this role can see; a name is taken as it is, capital letters too"
        );
        Error::new(ErrorCode::NotFound, message).left_nothing()
    };
    let (doing, sql) = (format!("look up table {name}"), name.sql());
    let fingerprint = tx.query_opt(&doing, FINGERPRINT, &[&sql]).await?.ok_or_else(unknown)?;
    let found = tx.query_opt(&doing, DESCRIBE, &[&sql]).await?.ok_or_else(unknown)?;
    let table: Table = serde_json::from_str(found.get(0))
        .map_err(|error| internal(format!("the catalog's answer on {name} cannot be read: {error}")))?;
    Ok(Table { fingerprint: fingerprint.get(1), ..table })
}

const DESCRIBE: &str = r"
SELECT pg_catalog.json_build_object(
  'oid', c.oid::int8, 'schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
  'logged', NOT EXISTS (SELECT FROM pg_catalog.pg_class x WHERE x.oid = ANY (tree.oids) AND x.relpersistence <> 'p'),
  'foreign_partitions',
    EXISTS (SELECT FROM pg_catalog.pg_class x WHERE x.oid = ANY (tree.oids) AND x.oid <> c.oid AND x.relkind = 'f'),
  'inherited', c.relkind <> 'p' AND EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid),
  'rules', EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'),
  'row_security', pg_catalog.row_security_active(c.oid),
  'columns', coalesce((
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
        'name', a.attname, 'type', pg_catalog.format('%I.%I', tn.nspname, t.typname), 'typmod', a.atttypmod,
        'base', b.oid::int8, 'domain', t.typtype = 'd',
        'element', coalesce((
          WITH RECURSIVE down AS (
            SELECT e.* FROM pg_catalog.pg_type e WHERE b.typcategory = 'A' AND b.typelem <> 0 AND e.oid = b.typelem
            UNION ALL
            SELECT e.* FROM down JOIN pg_catalog.pg_type e ON e.oid = down.typbasetype WHERE down.typtype = 'd')
          SELECT oid::int8 FROM down WHERE typtype <> 'd'), 0),
        'delimiter', coalesce((SELECT e.typdelim FROM pg_catalog.pg_type e WHERE e.oid = b.typelem), ','),
        'generated', a.attgenerated <> '') ORDER BY a.attnum)
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
    CROSS JOIN LATERAL (
      WITH RECURSIVE up AS (
        SELECT p.* FROM pg_catalog.pg_type p WHERE p.oid = t.oid
        UNION ALL
        SELECT p.* FROM up JOIN pg_catalog.pg_type p ON p.oid = up.typbasetype WHERE up.typtype = 'd')
      SELECT * FROM up WHERE typtype <> 'd') b
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]'::json),
  'key', coalesce((
    SELECT pg_catalog.json_agg(a.attname ORDER BY k.place)
    FROM pg_catalog.pg_index i
    CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE i.indrelid = c.oid AND i.indisprimary AND k.place <= i.indnkeyatts), '[]'::json),
  'unvalidated', EXISTS (SELECT FROM pg_catalog.pg_constraint v WHERE NOT v.convalidated
      AND v.conrelid = ANY (tree.oids)),
  'deferrable', EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = ANY (tree.oids) AND t.tgdeferrable),
  'triggers', coalesce((
    SELECT pg_catalog.json_agg(pg_catalog.format('%s%s (%s%s)', t.tgname,
        CASE WHEN t.tgrelid <> c.oid THEN pg_catalog.format(' on %s.%s', xn.nspname, x.relname) END,
        CASE WHEN t.tgtype::int4 & 2 <> 0 THEN 'BEFORE' WHEN t.tgtype::int4 & 64 <> 0 THEN 'INSTEAD OF' ELSE 'AFTER' END,
        pg_catalog.concat(CASE WHEN t.tgtype::int4 & 4 <> 0 THEN ' INSERT' END, CASE WHEN t.tgtype::int4 & 8 <> 0 THEN ' DELETE' END,
               CASE WHEN t.tgtype::int4 & 16 <> 0 THEN ' UPDATE' END, CASE WHEN t.tgtype::int4 & 32 <> 0 THEN ' TRUNCATE' END))
        ORDER BY t.tgname, xn.nspname, x.relname)
    FROM pg_catalog.pg_trigger t
    JOIN pg_catalog.pg_class x ON x.oid = t.tgrelid
    JOIN pg_catalog.pg_namespace xn ON xn.oid = x.relnamespace
    WHERE t.tgrelid = ANY (tree.oids) AND NOT t.tgisinternal AND t.tgenabled <> 'D'
      -- Of a partition those alone that run for rows, and that the table itself does not have.
      AND (t.tgrelid = c.oid OR t.tgtype::int4 & 1 <> 0 AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_trigger up WHERE up.oid = t.tgparentid AND up.tgenabled <> 'D'))), '[]'::json),
  'incoming', coalesce((
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
        'name', f.conname, 'schema', fn.nspname, 'table', fc.relname,
        'columns', (SELECT pg_catalog.json_agg(a.attname ORDER BY k.place)
                    FROM pg_catalog.unnest(f.conkey) WITH ORDINALITY AS k(n, place)
                    JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.n),
        'referenced', (SELECT pg_catalog.json_agg(a.attname ORDER BY k.place)
                    FROM pg_catalog.unnest(f.confkey) WITH ORDINALITY AS k(n, place)
                    JOIN pg_catalog.pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.n),
        'partition', CASE WHEN f.confrelid <> c.oid AND f.confrelid = ANY (tree.oids) THEN (
          SELECT pg_catalog.json_build_array(pn.nspname, pc.relname) FROM pg_catalog.pg_class pc
          JOIN pg_catalog.pg_namespace pn ON pn.oid = pc.relnamespace WHERE pc.oid = f.confrelid) END,
        'on_delete', f.confdeltype, 'on_update', f.confupdtype) ORDER BY f.oid)
    FROM pg_catalog.pg_constraint f
    JOIN pg_catalog.pg_class fc ON fc.oid = f.conrelid
    JOIN pg_catalog.pg_namespace fn ON fn.oid = fc.relnamespace
    WHERE f.contype = 'f' AND f.conparentid = 0
      AND (f.confrelid = ANY (tree.oids)
        OR f.confrelid IN (SELECT relid FROM pg_catalog.pg_partition_ancestors(c.oid)))),
    '[]'::json)
)::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (SELECT pg_catalog.array_prepend(c.oid,
  ARRAY(SELECT relid::oid FROM pg_catalog.pg_partition_tree(c.oid))) AS oids) AS tree
WHERE c.oid = pg_catalog.to_regclass($1)";
