use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::power::Observation;
use crate::transport::http::Verb;

/// Answers from a list and notes what it was asked.
struct Script {
    replies: Mutex<VecDeque<Reply>>,
    asked: Mutex<Vec<(Verb, String)>>,
}

#[async_trait]
impl Exchange for Script {
    async fn exchange(&self, request: Request, _: Deadline) -> Result<Reply> {
        assert!(
            !request
                .headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case("origin"))
        );
        if request.verb == Verb::Post {
            assert_eq!(
                request.body.as_deref(),
                Some(&[][..]),
                "a POST needs its Content-Length: 0"
            );
        }
        self.asked.lock().unwrap().push((request.verb, request.target));
        Ok(self
            .replies
            .lock()
            .unwrap()
            .pop_front()
            .expect("one request too many"))
    }
}

fn session(plug: &str, replies: &[(u16, &str)]) -> WebSession<Script> {
    let replies = replies
        .iter()
        .map(|(status, body)| Reply::new(*status, &[], body.as_bytes()))
        .collect();
    let script = Script {
        replies: Mutex::new(replies),
        asked: Mutex::default(),
    };
    WebSession {
        http: Authenticated::new(script, None),
        wanted: if plug.is_empty() {
            Wanted::Nothing
        } else {
            Wanted::Switch(Name::new(plug))
        },
        power_sensor: Name::new("Power"),
        address: None,
    }
}

fn asked(session: &WebSession<Script>) -> Vec<String> {
    let asked = session.http.inner().asked.lock().unwrap();
    asked
        .iter()
        .map(|(verb, target)| format!("{} {target}", verb.name()))
        .collect()
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(5))
}

const ON: &str = r#"{"id":"switch-second_outlet","value":true,"state":"ON"}"#;
const NEW_ON: &str = r#"{"id":"switch/Second Outlet","value":true,"state":"ON"}"#;
const SENSOR: &str = r#"{"id":"sensor/Power","value":87.5,"state":"87.5 W"}"#;

#[tokio::test]
async fn the_object_id_is_tried_only_after_a_404_and_only_with_a_get() {
    let mut session = session("Second Outlet", &[(404, ""), (200, ON), (200, ""), (200, ON)]);
    assert_eq!(
        session.inspect(soon()).await.unwrap().observation,
        Observation::On
    );
    session.switch(PowerState::Off, soon()).await.unwrap();
    assert_eq!(
        session.inspect(soon()).await.unwrap().observation,
        Observation::On
    );
    assert_eq!(
        asked(&session),
        [
            "GET /switch/Second%20Outlet?detail=all",
            "GET /switch/second_outlet?detail=all",
            "POST /switch/second_outlet/turn_off",
            "GET /switch/second_outlet?detail=all",
        ]
    );
}

#[tokio::test]
async fn nothing_is_switched_before_a_reply_about_that_switch() {
    for (status, body) in [(404, ""), (200, NEW_ON), (500, ""), (200, "<html>")] {
        let mut session = session("Relay", &[(status, body), (404, "")]);
        assert!(session.switch(PowerState::Off, soon()).await.is_err());
        assert!(asked(&session).iter().all(|line| line.starts_with("GET ")));
    }
}

#[tokio::test]
async fn an_unknown_switch_is_a_wrong_option() {
    let mut session = session("RELAY", &[(404, ""), (404, "")]);
    let error = session.inspect(soon()).await.unwrap_err();
    assert!(matches!(error, Error::Config { .. }));
    assert!(
        error.to_string().contains("no switch called \"RELAY\""),
        "{error}"
    );
}

#[tokio::test]
async fn a_switch_that_vanishes_may_come_back() {
    let mut session = session("Second Outlet", &[(200, NEW_ON), (404, "")]);
    session.inspect(soon()).await.unwrap();
    assert!(matches!(
        session.inspect(soon()).await,
        Err(Error::Protocol { .. })
    ));
}

#[tokio::test]
async fn only_an_empty_200_is_acceptance() {
    for (status, body, refused) in [
        (404, "", true),
        (405, "no", true),
        (302, "", false),
        (500, "", false),
        (200, "<html>", false),
    ] {
        let mut session = session("Second Outlet", &[(200, NEW_ON), (status, body)]);
        let error = session.switch(PowerState::Off, soon()).await.unwrap_err();
        assert_eq!(matches!(error, Error::Refused { .. }), refused, "{error}");
        assert!(refused || matches!(error, Error::Protocol { .. }), "{error}");
    }
}

#[tokio::test]
async fn without_a_name_rest_finds_no_switch() {
    let mut nothing = session("", &[]);
    for error in [
        nothing.inspect(soon()).await.unwrap_err(),
        nothing.switch(PowerState::Off, soon()).await.unwrap_err(),
        nothing.outlets(soon()).await.unwrap_err(),
    ] {
        assert!(error.to_string().starts_with("plug: is missing"), "{error}");
    }
    let mut of_node = session("storage-b", &[(404, ""), (404, "")]);
    of_node.wanted = Wanted::Node(Name::new("storage-b"));
    let error = of_node.inspect(soon()).await.unwrap_err().to_string();
    assert!(
        error.contains("as the node is") && error.contains("switch_name"),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_power_sensor_is_unsupported_and_a_silent_one_no_zero() {
    let mut metered = session("Relay", &[(200, SENSOR)]);
    assert_eq!(metered.power_reading(soon()).await.unwrap().watts, 87.5);
    let mut none = session("Relay", &[(404, ""), (404, "")]);
    assert!(matches!(
        none.power_reading(soon()).await,
        Err(Error::Unsupported { .. })
    ));
    let mut silent = session("Relay", &[(200, r#"{"id":"sensor/Power","value":null}"#)]);
    assert!(matches!(
        silent.power_reading(soon()).await,
        Err(Error::Protocol { .. })
    ));
}
