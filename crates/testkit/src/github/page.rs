//! Pages of lists, and the `Link` header that leads through them.

use serde_json::Value;

use super::query::Query;
use super::reply::{Reply, Stop};
use super::rest::Call;
use super::shape::encode;
use super::state::State;

const DEFAULT: usize = 30;
const MOST: usize = 100;

/// Which page is asked for; from 1 on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub(super) number: usize,
    pub(super) size: usize,
}

impl Page {
    pub(super) fn of(query: &Query) -> Self {
        let number =
            |name: &str| query.get(name).and_then(|text| text.parse::<usize>().ok()).filter(|n| *n > 0);
        Self { number: number("page").unwrap_or(1), size: number("per_page").unwrap_or(DEFAULT).min(MOST) }
    }

    pub(super) fn of_all<T>(self, all: &[T]) -> &[T] {
        let start = (self.number - 1).saturating_mul(self.size).min(all.len());
        let end = start.saturating_add(self.size).min(all.len());
        all.get(start..end).unwrap_or_default()
    }
}

impl State {
    /// The page that is asked for, each of its elements as a document, with links to the others.
    pub(super) fn paged<T>(
        &self,
        call: &Call<'_>,
        all: &[T],
        form: impl Fn(&T) -> Result<Value, Stop>,
    ) -> Result<Reply, Stop> {
        let page = Page::of(&call.query);
        let shown = page.of_all(all).iter().map(form).collect::<Result<Vec<_>, _>>()?;
        let reply = Reply::new(200, Value::Array(shown));
        Ok(match self.links(call, page, all.len()) {
            Some(links) => reply.with("link", links),
            None => reply,
        })
    }

    /// The links from a page of so many elements; none where there is no other page.
    pub(super) fn links(&self, call: &Call<'_>, page: Page, elements: usize) -> Option<String> {
        let last = elements.div_ceil(page.size).max(1);
        let mut links = Vec::new();
        if page.number > 1 {
            links.push(("prev", (page.number - 1).min(last)));
        }
        if page.number < last {
            links.push(("next", page.number + 1));
            links.push(("last", last));
        }
        if page.number > 1 {
            links.push(("first", 1));
        }
        let links: Vec<String> =
            links.iter().map(|(rel, to)| format!("<{}>; rel=\"{rel}\"", self.page_url(call, *to))).collect();
        (!links.is_empty()).then(|| links.join(", "))
    }

    /// GitHub names repositories by their numbers there.
    fn page_url(&self, call: &Call<'_>, number: usize) -> String {
        let path = match (self.repo(call.key), call.below_repo) {
            (Ok(repo), Some(below)) => format!("/repositories/{}{below}", repo.id),
            _ => call.path.to_owned(),
        };
        let mut pairs: Vec<String> = call
            .query
            .pairs()
            .filter(|(name, _)| *name != "page")
            .map(|(name, value)| format!("{}={}", encode(name), encode(value).replace('/', "%2F")))
            .collect();
        pairs.push(format!("page={number}"));
        format!("{}{path}?{}", self.url, pairs.join("&"))
    }
}
