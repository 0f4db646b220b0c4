//! Rows as records keep them, and how they are read, locked and compared.

use enact_core::action::Record;
use enact_core::connector::Cx;
use enact_core::content::{Content, INLINE_BYTES};
use enact_core::json::JsonText;
use enact_core::{Error, ErrorCode};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

use crate::catalog::{Column, Referential, Table, altered};
use crate::error::{internal, precondition};
use crate::name::{TableName, quoted};
use crate::tx::Tx;
use crate::value;

/// A row: the text of each column, null where the value is null.
pub type Image = Vec<Option<String>>;

/// What an action changes in one table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableChange {
    /// The table, with its schema.
    pub table: TableName,
    /// Which table had that name: its `pg_class.oid`.
    pub oid: u32,
    /// Its columns, in the order of the images.
    pub columns: Vec<ColumnShape>,
    /// The names of the primary key's columns; empty without one.
    pub key: Vec<String>,
    /// The role that saw the rows, where row-level security shows each role its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The columns that the request named; others that changed were changed by the database.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<String>,
    /// The rows.
    pub rows: Vec<RowChange>,
}

/// A column as images were made of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnShape {
    /// Its name.
    pub name: String,
    /// Its type, with length or precision.
    #[serde(rename = "type")]
    pub type_name: String,
}

/// What an action changes of one row. `before` is null for a new row, `after` for a deleted one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowChange {
    /// The row as it was.
    pub before: Option<Image>,
    /// The row as the action left it.
    pub after: Option<Image>,
}

impl TableChange {
    /// Changes of rows of a table, whose images are of its columns as they are now.
    pub(crate) fn of(table: &Table, role: String, rows: Vec<RowChange>) -> Self {
        Self {
            table: table.table_name(),
            oid: table.oid,
            columns: shapes(table),
            key: table.key.clone(),
            role: table.row_security.then_some(role),
            set: Vec::new(),
            rows,
        }
    }

    /// Whether a row comes to have another value where a foreign key points that refuses that. The way back may be
    /// refused although the way there was not, where a row points at itself.
    pub(crate) fn moves_what_is_pointed_at(&self, table: &Table) -> bool {
        let mut keys = table.incoming.iter().filter(|key| key.on_update() == Referential::Refuse);
        keys.any(|key| {
            let at = |name: &String| self.columns.iter().position(|column| column.name == *name);
            let places: Vec<usize> = key.referenced.iter().filter_map(at).collect();
            let differ =
                |before: &Image, after: &Image| places.iter().any(|at| before.get(*at) != after.get(*at));
            let mut rows = self.rows.iter().filter_map(|row| row.before.as_ref().zip(row.after.as_ref()));
            rows.any(|(before, after)| differ(before, after))
        })
    }
}

/// The columns of a table as they are now.
pub(crate) fn shapes(table: &Table) -> Vec<ColumnShape> {
    let shape = |column: &Column| ColumnShape { name: column.name.clone(), type_name: column.shape() };
    table.columns.iter().map(shape).collect()
}

/// Something that stands in the record where it is small, and in a file of its own where it is not.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept<T> {
    /// In a file: its size and hash.
    Apart(Content),
    /// Here.
    Here(T),
}

impl<T: Record + Clone> Kept<T> {
    /// Keeps a value.
    pub(crate) async fn keep(cx: &Cx, value: T) -> Result<Self, Error> {
        let text = serde_json::to_vec(&value).map_err(|error| unwritable(&error))?;
        if text.len() <= INLINE_BYTES {
            return Ok(Self::Here(value));
        }
        let cx = cx.clone();
        let kept = blocking(move || Content::keep(&cx, &mut text.as_slice())).await?;
        kept.map(Self::Apart).map_err(|error| unkept("keep rows", error))
    }

    /// The value.
    pub(crate) async fn load(&self, cx: &Cx) -> Result<T, Error> {
        let content = match self {
            Self::Here(value) => return Ok(value.clone()),
            Self::Apart(content) => content.clone(),
        };
        let cx = cx.clone();
        let text = blocking(move || {
            let mut text = Vec::new();
            content.open(&cx).and_then(|mut reader| reader.read_to_end(&mut text))?;
            Ok::<_, std::io::Error>(text)
        });
        let text = text.await?.map_err(|error| unkept("read the rows that were kept", error))?;
        serde_json::from_slice(&text)
            .map_err(|error| internal(format!("the rows that were kept cannot be read: {error}")))
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| internal(format!("work on files was given up: {error}")))
}

fn unwritable(error: &serde_json::Error) -> Error {
    internal(format!("rows have no JSON form: {error}"))
}

fn unkept(doing: &str, error: std::io::Error) -> Error {
    Error::new(ErrorCode::Unavailable, format!("cannot {doing}: {error}")).left_nothing().with_source(error)
}

/// A row as statements give it: its image, and as JSON for people and workflows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    pub(crate) image: Image,
    pub(crate) json: JsonText,
}

/// What to select of a row named `enact_t`, for [`Found::read`].
pub(crate) fn wanted(table: &Table) -> String {
    format!("{}, pg_catalog.to_json(enact_t.*)::text", table.image("enact_t"))
}

impl Found {
    /// Reads what [`wanted`] selected, from that place on.
    pub(crate) fn read(row: &Row, place: usize) -> Result<Self, Error> {
        let json = JsonText::parse(row.get(place + 1)).map_err(|error| {
            precondition(format!("a row cannot be given as JSON: {}; nothing was changed", error.message()))
        })?;
        Ok(Self { image: image(row, place), json })
    }
}

/// The image that [`Table::image`] selected. The server gives no text that is not UTF-8, whatever its own encoding.
pub(crate) fn image(row: &Row, place: usize) -> Image {
    row.get(place)
}

/// Where each of the table's columns is in images that have `columns`; none where they lack it.
pub(crate) fn places(table: &Table, columns: &[ColumnShape]) -> Vec<Option<usize>> {
    let place = |column: &Column| columns.iter().position(|shape| shape.name == column.name);
    table.columns.iter().map(place).collect()
}

/// The images of rows as one parameter, in the order of the table's columns. `columns` names those of the images;
/// a column that they lack is null.
pub(crate) fn literal<'a>(
    table: &Table,
    columns: &[ColumnShape],
    images: impl IntoIterator<Item = &'a Image>,
) -> value::Text {
    let places = places(table, columns);
    let field = |image: &'a Image, place: &Option<usize>| {
        place.and_then(|place| image.get(place)).and_then(Option::as_deref)
    };
    value::rows(images.into_iter().map(|image| places.iter().map(|place| field(image, place)).collect()))
}

/// `unnest` of such a parameter as a table, with a number for each row: `alias(f0, f1, …, n)`.
pub(crate) fn unnested(table: &Table, param: &str, alias: &str) -> String {
    let fields = (0..table.columns.len()).map(|place| format!("f{place}, ")).collect::<String>();
    format!("pg_catalog.unnest({param}::{}[]) WITH ORDINALITY AS {alias}({fields}n)", table.sql())
}

/// Whether the rows of `row` and of the unnested `alias` have one key.
pub(crate) fn same_key(table: &Table, row: &str, alias: &str) -> String {
    let equal = |name: &String| {
        let place = table.position(name).unwrap_or_default();
        format!("{row}.{} = {alias}.f{place}", quoted(name))
    };
    table.key.iter().map(equal).collect::<Vec<_>>().join(" AND ")
}

/// Reads and locks the rows that have the keys of `images` now, each in the place of its image; none where there is
/// no such row. `columns` are those of the images.
pub(crate) async fn find(
    tx: &Tx,
    table: &Table,
    columns: &[ColumnShape],
    images: &[&Image],
) -> Result<Vec<Option<Image>>, Error> {
    look_up(tx, (table, &table.image("enact_t")), columns, images, |row, place| Ok(image(row, place))).await
}

/// As [`find`], for images of the table as it is, and with what is given to people.
pub(crate) async fn find_whole(
    tx: &Tx,
    table: &Table,
    images: &[&Image],
) -> Result<Vec<Option<Found>>, Error> {
    look_up(tx, (table, &wanted(table)), &shapes(table), images, Found::read).await
}

async fn look_up<T: Clone>(
    tx: &Tx,
    (table, what): (&Table, &str),
    columns: &[ColumnShape],
    images: &[&Image],
    read: impl Fn(&Row, usize) -> Result<T, Error>,
) -> Result<Vec<Option<T>>, Error> {
    let mut found = vec![None; images.len()];
    if images.is_empty() {
        return Ok(found);
    }
    let sql = format!(
        "SELECT k.n, {what} FROM {} AS enact_t JOIN {} ON {}{} FOR UPDATE OF enact_t",
        table.sql(),
        unnested(table, "$1", "k"),
        same_key(table, "enact_t", "k"),
        table.lock_order("enact_t"),
    );
    let keys = literal(table, columns, images.iter().copied());
    let name = table.table_name();
    for row in tx.query_table(&format!("read rows of {name}"), (table, &name), &sql, &[&keys]).await? {
        let place = usize::try_from(row.get::<_, i64>(0)).unwrap_or_default();
        let Some(found) = place.checked_sub(1).and_then(|place| found.get_mut(place)) else { continue };
        if found.replace(read(&row, 1)?).is_some() {
            // What was the key is none any more.
            return Err(altered(&name.to_string()));
        }
    }
    Ok(found)
}

/// Where a row without a key is. That stays so while it is locked.
#[derive(Debug)]
pub(crate) struct Place {
    /// The number of the table, or of the partition, that it is in.
    pub(crate) table: String,
    /// The place in that table's own file.
    pub(crate) at: String,
}

/// Locks the rows that are equal to an image in every column, and gives the place of each.
pub(crate) async fn lock_equal(
    tx: &Tx,
    table: &Table,
    columns: &[ColumnShape],
    image: &Image,
) -> Result<Vec<Place>, Error> {
    let places = places(table, columns).into_iter();
    let wanted: Vec<Option<&str>> =
        places.map(|place| place.and_then(|at| image.get(at)?.as_deref())).collect();
    let sql = format!(
        "SELECT enact_t.tableoid::text, enact_t.ctid::text FROM {} AS enact_t \
         WHERE {} IS NOT DISTINCT FROM $1::text[] FOR UPDATE",
        table.sql(),
        table.image("enact_t"),
    );
    let doing = format!("read rows of {}", table.table_name());
    let rows = tx.query(&doing, &sql, &[&wanted]).await?;
    Ok(rows.iter().map(|row| Place { table: row.get(0), at: row.get(1) }).collect())
}

/// A few words on a row, for messages: its key.
pub(crate) fn shown(change: &TableChange, image: &Image) -> String {
    let field = |name: &String| {
        let place = change.columns.iter().position(|column| column.name == *name)?;
        let value = image.get(place)?.as_deref().unwrap_or("null");
        Some(format!("{name} = {}", value.chars().take(60).collect::<String>()))
    };
    let key: Vec<String> = change.key.iter().filter_map(field).collect();
    if key.is_empty() { change.table.to_string() } else { format!("{} ({})", change.table, key.join(", ")) }
}
