//! Policies: business rules, next to the hard floor of the allowlist.
//!
//! A policy is pure: time, attributes, what the run did and what was admitted lately come with the request
//! ([`enact_core::policy::Request`]). So each is tested in one line, without a runtime: see [`Case`].
//!
//! The built-in ones are made by functions, from parameters whose fields are the keys of `enact.toml`, or from its
//! entries:
//!
//! ```
//! use enact_policy::{Case, DontPushToMain, dont_push_to_main, require_branch_prefix};
//! use enact_core::policy::Verdict;
//! use serde_json::json;
//!
//! let push = Case::action("github", "push_commit", json!({ "repo": "octo/app", "branch": "agent/x" }));
//! assert_eq!(push.judge(&require_branch_prefix("agent/")), Verdict::Pass);
//! assert_eq!(push.judge(&dont_push_to_main().on(["github"])), Verdict::Pass);
//!
//! let releases = DontPushToMain { branches: vec!["release/*".into()], ..DontPushToMain::default() };
//! let push = Case::action("github", "push_commit", json!({ "repo": "octo/app", "branch": "Release/1.0" }));
//! assert!(matches!(push.judge(&releases.into_policy()), Verdict::Deny(_)));
//! ```
//!
//! What all of them have in common:
//!
//! - **What cannot be judged is refused**: a parameter or a fact that should be there and is not, or is something else, is a
//!   no that says so. So is nonsense among the policy's own parameters, which [`from_entries`] and [`Builtin::check`] refuse
//!   beforehand.
//! - **A rule that forbids compares broadly, a rule that permits compares exactly.** Forbidden names are compared without
//!   case, in one form of Unicode, without what is invisible, and with letters that look alike as one. Permitted names are
//!   what they are, and are nothing that hides something.
//! - **By kind.** A rule on branches is for every connector of the kind `github`, whatever its name; [`Builtin::on`] and
//!   [`Builtin::actions`] narrow it.

mod approval;
mod builtin;
mod case;
#[cfg(feature = "cases")]
pub mod cases;
#[cfg(feature = "cedar")]
pub mod cedar;
mod content;
mod counting;
mod duration;
mod entries;
mod files;
mod hosting;
mod messages;
mod name;
mod read;
mod scope;
mod tables;
mod users;
mod when;

pub use approval::{Effect, RequireApproval, require_approval};
pub use builtin::Builtin;
pub use case::Case;
pub use content::{NoSecretsInContent, no_secrets_in_content, redacted, redacted_json};
pub use counting::{By, MaxActionsPerRun, RateLimit, max_actions_per_run, rate_limit};
pub use entries::{Connectors, EntriesError, EntryProblem, from_entries, names, odd_entries};
pub use files::{
    BlockExtensions, DontDeleteFile, RestrictPaths, block_extensions, dont_delete_file, restrict_paths,
};
pub use hosting::{
    DontDeleteBranch, DontMergeToMain, DontPushToMain, MAIN_BRANCHES, MaxFilesPerCommit, RequireBranchPrefix,
    dont_delete_branch, dont_merge_to_main, dont_push_to_main, max_files_per_commit, require_branch_prefix,
};
pub use messages::{BlockDms, RequireChannelAllowlist, block_dms, require_channel_allowlist};
pub use tables::{
    DontDeleteRow, MaxRowsAffected, ProtectTables, dont_delete_row, max_rows_affected, protect_tables,
};
pub use users::{RequireUserRole, require_user_role};
pub use when::{
    CodeFreezeActive, Window, WithinMaintenanceWindow, code_freeze_active, within_maintenance_window,
};
