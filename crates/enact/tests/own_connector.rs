//! The connector of the example keeps the contract of connectors: so would a test of your own connector look.

#![cfg(feature = "testing")]
#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

#[path = "../examples/own_connector/register.rs"]
mod register;

use std::collections::BTreeMap;

use enact::connector::{Allow as _, Toolbox};
use enact::testing::connector_suite::{Case, World, check};
use register::Register;
use serde_json::{Value, json};

impl World for Register {
    fn toolbox(&self) -> Toolbox {
        self.clone().allow(["swap"]).expect("the connector has the action")
    }

    async fn observe(&self) -> String {
        format!("{:?}", self.0.lock().0.iter().collect::<BTreeMap<_, _>>())
    }
}

async fn keeps_the_contract(params: Value) {
    let case = Case::new("swap", params).requires(["key"]).disturbed_by(|register: &Register| {
        register.0.lock().0.insert("version".to_owned(), "somebody else's".to_owned());
    });
    let fresh = async || {
        let register = Register::default();
        register.0.lock().0.insert("version".to_owned(), "1".to_owned());
        register
    };
    check(&case, fresh).await;
}

#[tokio::test]
async fn a_value_is_changed_and_changed_back() {
    keeps_the_contract(json!({ "key": "version", "from": "1", "to": "2" })).await;
}

#[tokio::test]
async fn a_value_is_taken_away_and_put_back() {
    keeps_the_contract(json!({ "key": "version", "from": "1" })).await;
}
