//! People, as documents.

use serde_json::{Value, json};

use crate::github::clock;
use crate::github::state::State;

use super::{encode, node_id};

impl State {
    /// `simple-user`.
    pub(in crate::github) fn user_json(&self, login: &str) -> Value {
        let user = self.accounts.user(login);
        let (id, bot) = user.map_or((0, false), |user| (user.id, user.bot));
        let web = &self.url;
        let url = format!("{web}/users/{}", encode(login));
        json!({
            "login": login, "id": id, "node_id": node_id("U", id),
            "avatar_url": format!("{web}/avatars/u/{id}"), "gravatar_id": "",
            "url": url, "html_url": format!("{web}/{}", encode(login)),
            "followers_url": format!("{url}/followers"),
            "following_url": format!("{url}/following{{/other_user}}"),
            "gists_url": format!("{url}/gists{{/gist_id}}"),
            "starred_url": format!("{url}/starred{{/owner}}{{/repo}}"),
            "subscriptions_url": format!("{url}/subscriptions"), "organizations_url": format!("{url}/orgs"),
            "repos_url": format!("{url}/repos"), "events_url": format!("{url}/events{{/privacy}}"),
            "received_events_url": format!("{url}/received_events"),
            "type": if bot { "Bot" } else { "User" }, "user_view_type": "public", "site_admin": false,
        })
    }

    /// `public-user`: what `GET /user` says of oneself without the scope `user`.
    pub(in crate::github) fn public_user_json(&self, login: &str) -> Value {
        let mut all = self.user_json(login);
        let since = clock::text(0);
        let more = json!({
            "name": login, "company": null, "blog": "", "location": null, "email": null, "hireable": null,
            "bio": null, "public_repos": 0, "public_gists": 0, "followers": 0, "following": 0,
            "created_at": since, "updated_at": since,
        });
        merge(&mut all, more);
        all
    }
}

/// Adds the fields of one object to another.
pub(super) fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}
