//! One request and its answer: who asks, what for, whether it is well formed, and what comes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::http::request::Parts;
use serde_json::{Value, json};

use super::account::Kind;
use super::auth::Caller;
use super::ledger::Request;
use super::query::Query;
use super::reply::{Answer, Reply, Stop};
use super::rest::{self, Call, Found};
use super::server::Shared;
use super::state::{RepoKey, State};
use super::{clock, graphql, openapi};

/// The versions of the API that are known.
const VERSIONS: [&str; 2] = ["2022-11-28", "2026-03-10"];

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) number: u64,
    pub(super) method: String,
    /// Encoded, without `/api/v3`. For GraphQL with `#` and the first field.
    pub(super) path: String,
    pub(super) query: String,
    authorization: Option<String>,
    user_agent: Option<String>,
    version: Option<String>,
    body: Bytes,
}

/// What the connection is to do.
#[derive(Debug)]
pub(super) enum Given {
    Reply(Reply),
    After(Duration, Reply),
    /// To end in the middle of it.
    Cut(Reply),
    /// To end.
    Nothing,
    /// To stay silent.
    Never,
}

impl Asked {
    pub(super) fn new(number: u64, head: &Parts, body: Bytes) -> Self {
        let header =
            |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let path = head.uri.path();
        let path = match path.strip_prefix("/api/v3") {
            Some(rest) if rest.starts_with('/') => rest,
            _ if path == "/api/graphql" => "/graphql",
            _ => path,
        };
        let path = match path {
            "/graphql" => format!("/graphql#{}", graphql::first_field(&body).unwrap_or_default()),
            other => other.to_owned(),
        };
        Self {
            number,
            method: head.method.to_string(),
            path,
            query: head.uri.query().unwrap_or_default().to_owned(),
            authorization: header("authorization"),
            user_agent: header("user-agent"),
            version: header("x-github-api-version"),
            body,
        }
    }

    pub(super) fn is_graphql(&self) -> bool {
        self.path.starts_with("/graphql#")
    }
}

impl Shared {
    /// Does what is asked, and answers.
    pub(super) fn answer(&self, asked: &Asked) -> Reply {
        let mut state = self.state.lock();
        let caller = state.authenticate(asked.authorization.as_deref());
        let reply = match &caller {
            Ok(caller) => state.serve(asked, caller),
            Err(Stop::Refused(reply)) => Ok((**reply).clone()),
            Err(Stop::Broken(why)) => Err(Stop::Broken(why.clone())),
        };
        let reply = match reply {
            Ok(reply) => reply,
            Err(Stop::Refused(reply)) => *reply,
            Err(Stop::Broken(why)) => {
                let Asked { number, method, path, .. } = asked;
                state
                    .problems
                    .push(format!("{number}: {method} {path}: the stand-in itself has failed: {why}"));
                Reply::error(500, "Server Error")
            }
        };
        state.finish(asked, &caller.unwrap_or(Caller::Anonymous), reply)
    }

    /// An answer that a fault gives, with the headers that all have.
    pub(super) fn finish(&self, asked: &Asked, reply: Reply) -> Reply {
        let mut state = self.state.lock();
        let caller = state.authenticate(asked.authorization.as_deref()).unwrap_or(Caller::Anonymous);
        state.finish(asked, &caller, reply)
    }

    /// Uses up the caller's rate limit.
    pub(super) fn limit(&self, asked: &Asked, status: u16) -> Reply {
        let mut state = self.state.lock();
        let caller = state.authenticate(asked.authorization.as_deref()).unwrap_or(Caller::Anonymous);
        state.leave(&caller, 0);
        let mut reply = match state.count(asked, &caller) {
            Err(Stop::Refused(reply)) => *reply,
            _ => Reply::error(status, "API rate limit exceeded"),
        };
        if !asked.is_graphql() {
            reply.status = status;
            if let Some(Value::Object(body)) = &mut reply.body {
                body.insert("status".to_owned(), json!(status.to_string()));
            }
        }
        state.finish(asked, &caller, reply)
    }

    /// Notes a request in the log.
    pub(super) fn note(
        &self,
        asked: &Asked,
        decided: Option<u16>,
        status: Option<u16>,
        fault: Option<String>,
    ) {
        let mut state = self.state.lock();
        let by = state.authenticate(asked.authorization.as_deref()).ok();
        let by = by.and_then(|caller| caller.login().map(str::to_owned));
        let Asked { number, method, path, query, .. } = asked.clone();
        state.requests.push(Request { number, method, path, query, by, decided, status, fault });
    }
}

impl State {
    fn serve(&mut self, asked: &Asked, caller: &Caller) -> Answer {
        if asked.user_agent.as_deref().is_none_or(str::is_empty) {
            let message = "Request forbidden by administrative rules. Please make sure your request has a User-Agent header (https://docs.github.com/en/rest/overview/resources-in-the-rest-api#user-agent-required). Check https://developer.github.com for other possible causes.";
            return Err(Stop::refuse(403, message));
        }
        if let Some(version) = asked.version.as_deref().filter(|version| !VERSIONS.contains(version)) {
            return Err(Stop::refuse(400, &format!("{version} is not a supported API version")));
        }
        if asked.path != "/rate_limit" {
            self.count(asked, caller)?;
        }
        if asked.is_graphql() {
            return graphql::answer(self, asked.number, &asked.method, caller, &asked.body);
        }
        let Some(found) = rest::find(&asked.method, &asked.path) else {
            let Asked { number, method, path, .. } = asked;
            self.problems.push(format!("{number}: {method} {path}: this route is not known here"));
            return Err(Stop::not_found());
        };
        let key = self.repo_of(asked, caller, &found)?;
        self.admit(caller, found.route.needs)?;
        self.run(asked, caller, key, found)
    }

    /// The repository that a path names. One that has been renamed is elsewhere.
    fn repo_of(&mut self, asked: &Asked, caller: &Caller, found: &Found<'_>) -> Result<RepoKey, Stop> {
        let part = |name: &str| found.params.get(name).map_or("", String::as_str);
        let (owner, name) = (part("owner"), part("repo"));
        let Some(below) = found.below_repo else { return Ok(0) };
        let visible =
            |state: &Self, key: RepoKey| state.sees(caller, key).then_some(key).ok_or_else(Stop::not_found);
        if let Some(id) = found.params.get("repository_id") {
            let key =
                self.repos.iter().position(|repo| repo.id.to_string() == *id).ok_or_else(Stop::not_found)?;
            return visible(self, key);
        }
        if let Some(key) = self.named(owner, name) {
            return visible(self, key);
        }
        let old = format!("{owner}/{name}").to_lowercase();
        let key = visible(self, *self.moved.get(&old).ok_or_else(Stop::not_found)?)?;
        let (status, message) =
            if asked.method == "GET" { (301, "Moved Permanently") } else { (307, "Temporary Redirect") };
        let query = if asked.query.is_empty() { String::new() } else { format!("?{}", asked.query) };
        let url = format!("{}/repositories/{}{below}{query}", self.url, self.repo(key)?.id);
        let docs =
            "https://docs.github.com/rest/guides/best-practices-for-using-the-rest-api#follow-redirects";
        let body = json!({"message": message, "url": url, "documentation_url": docs});
        Err(Reply::new(status, body).with("location", url).into())
    }

    fn run(&mut self, asked: &Asked, caller: &Caller, key: RepoKey, found: Found<'_>) -> Answer {
        self.authorize(caller, key, found.route.needs)?;
        let query = Query::parse(&asked.query).ok_or_else(|| Stop::refuse(400, "Bad Request"))?;
        let body = match asked.body.as_ref() {
            b"" => Value::Null,
            bytes => serde_json::from_slice(bytes).map_err(|_| Stop::refuse(400, "Problems parsing JSON"))?,
        };
        if !body.is_null() && !body.is_object() {
            return Err(Stop::refuse(400, "Body should be a JSON object"));
        }
        let route = found.route;
        let mut params = found.params;
        let repo = self.repo(key).ok().filter(|_| found.below_repo.is_some());
        if let Some(repo) = repo {
            params.insert("owner", repo.owner.clone());
            params.insert("repo", repo.name.clone());
        }
        let wrong = openapi::check_request(route, &params, &query, &body);
        let Asked { number, method, path, .. } = asked;
        let of_server = |what: &String| format!("{number}: {method} {path}: {what}");
        self.problems.extend(wrong.iter().map(|wrong| of_server(&wrong.text())));
        if let Some(refusal) = wrong.iter().find_map(openapi::Wrong::refusal) {
            return Err(Stop::refuse(422, &format!("Invalid request.\n\n{refusal}")));
        }
        let call =
            Call { number: *number, caller, key, path, below_repo: found.below_repo, params, query, body };
        let answer = (route.run)(self, &call);
        let reply = match &answer {
            Ok(reply) => Some(reply),
            Err(Stop::Refused(reply)) => Some(&**reply),
            Err(Stop::Broken(_)) => None,
        };
        if let Some(reply) = reply {
            let wrong = openapi::check_reply(route, reply);
            self.problems.extend(wrong.iter().map(of_server));
        }
        answer
    }

    fn finish(&mut self, asked: &Asked, caller: &Caller, reply: Reply) -> Reply {
        let resource = if asked.is_graphql() { "graphql" } else { "core" };
        let mut headers: BTreeMap<&'static str, String> =
            self.limit_headers(caller, resource).into_iter().collect();
        headers.insert("date", clock::http(self.clock.now()));
        headers.insert("x-github-media-type", "github.v3; format=json".to_owned());
        headers.insert("x-github-request-id", format!("{:04X}", asked.number));
        headers.insert(
            "x-github-api-version-selected",
            asked.version.clone().unwrap_or_else(|| "2022-11-28".to_owned()),
        );
        match self.grant(caller).map(|grant| &grant.kind) {
            Some(Kind::Classic(scopes)) => {
                headers.insert("x-oauth-scopes", scopes.join(", "));
                headers.insert("x-accepted-oauth-scopes", accepted(asked).to_owned());
            }
            Some(_) => {
                if let Some((name, write)) = needed(asked) {
                    let level = if write { "write" } else { "read" };
                    headers.insert("x-accepted-github-permissions", format!("{name}={level}"));
                }
            }
            None => {}
        }
        let mut reply = reply;
        reply.headers.extend(headers);
        reply
    }
}

fn needed(asked: &Asked) -> Option<(&'static str, bool)> {
    rest::find(&asked.method, &asked.path)?.route.needs.of_repo()
}

fn accepted(asked: &Asked) -> &'static str {
    if needed(asked).is_some() { "repo" } else { "" }
}
