//! The routes of the REST API: what each is called in GitHub's description, what it needs, and who answers.

mod apps;
mod branches;
mod commits;
mod compare;
mod issues;
mod lists;
mod objects;
mod pulls;
mod refs;
mod repos;

use std::collections::BTreeMap;

use serde_json::Value;

use super::auth::{Caller, Needs};
use super::deeds::Actor;
use super::query::{Query, decode};
use super::reply::{Answer, Stop};
use super::state::{RepoKey, State};

/// A request that has found its route and may be answered.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) number: u64,
    pub(super) caller: &'a Caller,
    /// The repository that it is about; 0 where it is about none.
    pub(super) key: RepoKey,
    /// As it was sent, without `/api/v3`.
    pub(super) path: &'a str,
    /// What follows the repository in it, still encoded.
    pub(super) below_repo: Option<&'a str>,
    pub(super) params: BTreeMap<&'static str, String>,
    pub(super) query: Query,
    pub(super) body: Value,
}

impl Call<'_> {
    /// A part of the path.
    pub(super) fn param(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }

    /// A number in the path.
    pub(super) fn number_param(&self, name: &str) -> Result<u64, Stop> {
        self.param(name).parse().map_err(|_| Stop::not_found())
    }

    /// A text of the body.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str)
    }

    /// A text that has to be there.
    pub(super) fn needed(&self, name: &str) -> Result<&str, Stop> {
        self.text(name)
            .ok_or_else(|| Stop::refuse(422, &format!("Invalid request.\n\n\"{name}\" wasn't supplied.")))
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.body.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// A list of texts, or of objects with a name.
    pub(super) fn texts(&self, name: &str, field: &str) -> Option<Vec<String>> {
        let list = self.body.get(name)?.as_array()?;
        let text = |value: &Value| value.as_str().or_else(|| value.get(field)?.as_str()).map(str::to_owned);
        Some(list.iter().filter_map(text).collect())
    }

    /// In whose name it acts.
    pub(super) fn actor(&self) -> Actor {
        Actor { request: self.number, login: self.caller.login().unwrap_or_default().to_owned() }
    }
}

type Run = fn(&mut State, &Call<'_>) -> Answer;

/// A route.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: &'static str,
    /// As in GitHub's description.
    pub(super) template: &'static str,
    pub(super) needs: Needs,
    /// Whether its last part may have slashes.
    rest: bool,
    pub(super) run: Run,
}

const fn route(method: &'static str, template: &'static str, needs: Needs, run: Run) -> Route {
    Route { method, template, needs, rest: false, run }
}

/// A route whose last part is the name of a ref.
const fn with_ref(method: &'static str, template: &'static str, needs: Needs, run: Run) -> Route {
    Route { method, template, needs, rest: true, run }
}

const CODE: Needs = Needs::Read("contents");
const PUSH: Needs = Needs::Write("contents");
const META: Needs = Needs::Read("metadata");
const PULLS: Needs = Needs::Read("pull_requests");
const ISSUES: Needs = Needs::Read("issues");

/// All that is known.
pub(super) const ROUTES: [Route; 37] = [
    route("GET", "/user", Needs::User, apps::user),
    route("GET", "/rate_limit", Needs::Nothing, apps::rate_limit),
    route("GET", "/app", Needs::App, apps::app),
    route("GET", "/app/installations/{installation_id}", Needs::App, apps::installation),
    route("POST", "/app/installations/{installation_id}/access_tokens", Needs::App, apps::issue_token),
    route("GET", "/installation/repositories", Needs::Installation, apps::repositories),
    route("GET", "/repos/{owner}/{repo}", META, repos::get),
    route("GET", "/repos/{owner}/{repo}/activity", CODE, repos::activity),
    route("GET", "/repos/{owner}/{repo}/branches", CODE, branches::list),
    with_ref("GET", "/repos/{owner}/{repo}/branches/{branch}", CODE, branches::get),
    with_ref("GET", "/repos/{owner}/{repo}/git/ref/{ref}", CODE, refs::get),
    with_ref("GET", "/repos/{owner}/{repo}/git/matching-refs/{ref}", CODE, refs::matching),
    route("POST", "/repos/{owner}/{repo}/git/refs", PUSH, refs::create),
    with_ref("PATCH", "/repos/{owner}/{repo}/git/refs/{ref}", PUSH, refs::update),
    with_ref("DELETE", "/repos/{owner}/{repo}/git/refs/{ref}", PUSH, refs::delete),
    route("POST", "/repos/{owner}/{repo}/git/blobs", PUSH, objects::create_blob),
    route("GET", "/repos/{owner}/{repo}/git/blobs/{file_sha}", CODE, objects::get_blob),
    route("POST", "/repos/{owner}/{repo}/git/trees", PUSH, objects::create_tree),
    with_ref("GET", "/repos/{owner}/{repo}/git/trees/{tree_sha}", CODE, objects::get_tree),
    route("POST", "/repos/{owner}/{repo}/git/commits", PUSH, commits::create),
    route("GET", "/repos/{owner}/{repo}/git/commits/{commit_sha}", CODE, commits::get_git),
    route("GET", "/repos/{owner}/{repo}/commits", CODE, commits::list),
    with_ref("GET", "/repos/{owner}/{repo}/commits/{ref}", CODE, commits::get),
    with_ref("GET", "/repos/{owner}/{repo}/compare/{basehead}", CODE, compare::compare),
    route("POST", "/repos/{owner}/{repo}/merges", PUSH, branches::merge),
    route("GET", "/repos/{owner}/{repo}/pulls", PULLS, lists::pulls),
    route("POST", "/repos/{owner}/{repo}/pulls", Needs::Join("pull_requests"), pulls::create),
    route("GET", "/repos/{owner}/{repo}/pulls/{pull_number}", PULLS, pulls::get),
    route("PATCH", "/repos/{owner}/{repo}/pulls/{pull_number}", Needs::Join("pull_requests"), pulls::update),
    route("GET", "/repos/{owner}/{repo}/pulls/{pull_number}/commits", PULLS, pulls::commits),
    route("GET", "/repos/{owner}/{repo}/pulls/{pull_number}/files", PULLS, pulls::files),
    route("GET", "/repos/{owner}/{repo}/pulls/{pull_number}/merge", PULLS, pulls::is_merged),
    route("PUT", "/repos/{owner}/{repo}/pulls/{pull_number}/merge", PUSH, pulls::merge),
    route("GET", "/repos/{owner}/{repo}/issues", ISSUES, lists::issues),
    route("POST", "/repos/{owner}/{repo}/issues", Needs::Join("issues"), issues::create),
    route("GET", "/repos/{owner}/{repo}/issues/{issue_number}", ISSUES, issues::get),
    route("PATCH", "/repos/{owner}/{repo}/issues/{issue_number}", Needs::Join("issues"), issues::update),
];

/// What a path has led to.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) route: &'static Route,
    pub(super) params: BTreeMap<&'static str, String>,
    /// What follows `/repos/OWNER/NAME` or `/repositories/ID`.
    pub(super) below_repo: Option<&'a str>,
}

/// The route of a path that is still encoded. `/repositories/ID/…` is the same as `/repos/…`.
pub(super) fn find<'a>(method: &str, path: &'a str) -> Option<Found<'a>> {
    let mut params = BTreeMap::new();
    let (start, below_repo) = repo_of(path, &mut params)?;
    let parts: Vec<&str> = path.get(start..)?.split('/').skip(1).collect();
    let of_repo = below_repo.is_some();
    ROUTES.iter().filter(|route| route.method == method).find_map(|route| {
        let template = route.template;
        let below = template.strip_prefix("/repos/{owner}/{repo}");
        let wanted = if of_repo { below? } else { below.is_none().then_some(template)? };
        let mut params = params.clone();
        fit(wanted, &parts, route.rest, &mut params)?;
        Some(Found { route, params, below_repo })
    })
}

/// Takes the repository from the beginning of a path.
fn repo_of<'a>(
    path: &'a str,
    params: &mut BTreeMap<&'static str, String>,
) -> Option<(usize, Option<&'a str>)> {
    let names: &[&'static str] = if path.starts_with("/repos/") {
        &["owner", "repo"]
    } else if path.starts_with("/repositories/") {
        &["repository_id"]
    } else {
        return Some((0, None));
    };
    let mut parts = path.split('/').skip(2);
    let mut start = path.get(1..)?.find('/')? + 1;
    for name in names {
        let part = parts.next().filter(|part| !part.is_empty())?;
        start += part.len() + 1;
        params.insert(name, decode(part)?);
    }
    Some((start, path.get(start..)))
}

fn fit(
    template: &str,
    parts: &[&str],
    rest: bool,
    params: &mut BTreeMap<&'static str, String>,
) -> Option<()> {
    let wanted: Vec<&str> = template.split('/').skip(1).collect();
    let fits = if rest { parts.len() >= wanted.len() } else { parts.len() == wanted.len() };
    if !fits {
        return None;
    }
    for (at, want) in wanted.iter().enumerate() {
        let last_of_rest = rest && at + 1 == wanted.len();
        let part = if last_of_rest { parts.get(at..)?.join("/") } else { (*parts.get(at)?).to_owned() };
        match name_of(want) {
            Some(name) if !part.is_empty() => {
                params.insert(name, decode(&part)?);
            }
            None if *want == part => {}
            _ => return None,
        }
    }
    Some(())
}

/// The name in the braces of a part of a template.
fn name_of(part: &str) -> Option<&'static str> {
    let inner = part.strip_prefix('{')?.strip_suffix('}')?;
    const NAMES: [&str; 11] = [
        "installation_id",
        "branch",
        "ref",
        "file_sha",
        "tree_sha",
        "commit_sha",
        "basehead",
        "pull_number",
        "issue_number",
        "owner",
        "repo",
    ];
    NAMES.into_iter().find(|name| *name == inner)
}
