//! The language in which simulated devices are made to fail: words or JSON, one line each.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Feed, Fleet, Simulated};
use crate::fault::Faults;

/// What a line asks for.
#[derive(Debug, PartialEq)]
enum Order {
    List,
    Node {
        node: String,
        /// Which of the node's devices, from 1; all when left out.
        device: Option<usize>,
        act: Act,
    },
}

#[derive(Debug, PartialEq)]
enum Act {
    State,
    Faults(Faults),
    Button(bool),
    Restart,
}

pub(super) fn obey(fleet: &Fleet, line: &str) -> Value {
    match read(line).and_then(|order| carry_out(fleet, &order)) {
        Ok(answer) => answer,
        Err(problem) => json!({"ok": false, "error": problem}),
    }
}

fn read(line: &str) -> Result<Order, String> {
    let line = line.trim();
    if line.starts_with('{') {
        return from_json(line);
    }
    let (target, what) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    if (target, what) == ("list", "") {
        return Ok(Order::List);
    }
    let act = match what.trim() {
        "" | "state" => Act::State,
        "on" => Act::Button(true),
        "off" => Act::Button(false),
        "restart" => Act::Restart,
        faults => Act::Faults(faults.parse().map_err(|error| format!("{error}"))?),
    };
    let (node, device) = match target.rsplit_once('/') {
        Some((node, number)) => match number.parse() {
            Ok(number) => (node, Some(number)),
            Err(_) => {
                return Err(format!(
                    "\"{number}\" is no number of a device; write it as {node}/1"
                ));
            }
        },
        None => (target, None),
    };
    Ok(Order::Node {
        node: node.to_owned(),
        device,
        act,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    node: Option<String>,
    device: Option<usize>,
    faults: Option<OneOrMore>,
    button: Option<Button>,
    query: Option<Query>,
    restart: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Button {
    On,
    Off,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Query {
    State,
    List,
}

fn from_json(line: &str) -> Result<Order, String> {
    let written: Written = serde_json::from_str(line).map_err(|error| format!("not understood: {error}"))?;
    if written.query == Some(Query::List) {
        return Ok(Order::List);
    }
    let faults = match written.faults {
        Some(OneOrMore::One(faults)) => Some(faults),
        Some(OneOrMore::More(faults)) => Some(faults.join(",")),
        None => None,
    };
    let mut acts = Vec::new();
    if let Some(faults) = faults {
        acts.push(Act::Faults(faults.parse().map_err(|error| format!("{error}"))?));
    }
    acts.extend(
        written
            .button
            .map(|button| Act::Button(matches!(button, Button::On))),
    );
    acts.extend(written.query.map(|_| Act::State));
    acts.extend(written.restart.filter(|restart| *restart).map(|_| Act::Restart));
    match (written.node, acts.pop(), acts.is_empty()) {
        (Some(node), Some(act), true) => Ok(Order::Node {
            node,
            device: written.device,
            act,
        }),
        _ => Err("write node and one of faults, button, query and restart".to_owned()),
    }
}

fn carry_out(fleet: &Fleet, order: &Order) -> Result<Value, String> {
    let (node, device, act) = match order {
        Order::List => return Ok(list(fleet)),
        Order::Node { node, device, act } => (node, device, act),
    };
    let all = fleet.of_node(node);
    let chosen: Vec<_> = match device {
        None => all,
        Some(number) => all
            .into_iter()
            .filter(|(_, feed)| feed.index + 1 == *number)
            .collect(),
    };
    if chosen.is_empty() {
        let which = device.map(|number| format!(" {number}")).unwrap_or_default();
        return Err(format!(
            "there is no device{which} of a node \"{node}\"; list shows those there are"
        ));
    }
    for (simulated, feed) in &chosen {
        let device = simulated.device();
        match act {
            Act::State => {}
            Act::Faults(faults) => device.set_faults(faults.clone()),
            Act::Button(on) => device.set(feed.outlet, *on, true),
            Act::Restart => device.restart(),
        }
    }
    let devices: Vec<_> = chosen
        .iter()
        .map(|(simulated, feed)| state(simulated, feed))
        .collect();
    Ok(json!({"ok": true, "node": node, "devices": devices}))
}

fn list(fleet: &Fleet) -> Value {
    let devices: Vec<_> = fleet
        .devices()
        .iter()
        .flat_map(|device| device.feeds().iter().map(move |feed| (device, feed)))
        .map(|(device, feed)| {
            let mut state = state(device, feed);
            if let Some(members) = state.as_object_mut() {
                members.insert("node".into(), json!(feed.node));
            }
            state
        })
        .collect();
    json!({"ok": true, "devices": devices})
}

fn state(simulated: &Simulated, feed: &Feed) -> Value {
    let device = simulated.device();
    let word = |on: Option<bool>| on.map(|on| if on { "on" } else { "off" });
    json!({
        "device": feed.index + 1,
        "address": simulated.address().to_string(),
        "outlet": feed.outlet + 1,
        "reported": word(device.reported(feed.outlet)),
        "relay": word(device.relay(feed.outlet)),
        "watts": device.watts(feed.outlet),
        "faults": device.faults().active(),
        "requests": device.requests(),
        "commands": device.commands().len(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn node(node: &str, device: Option<usize>, act: Act) -> Order {
        Order::Node {
            node: node.to_owned(),
            device,
            act,
        }
    }

    #[test]
    fn words_and_json_mean_the_same() {
        let lie = Faults {
            lie: true,
            slow: Some(Duration::from_secs(2)),
            ..Faults::default()
        };
        let cases = [
            ("list", "{\"query\":\"list\"}", Order::List),
            (
                "b",
                "{\"node\":\"b\",\"query\":\"state\"}",
                node("b", None, Act::State),
            ),
            (
                " b   lie, slow=2 ",
                "{\"node\":\"b\",\"faults\":[\"lie\",\"slow=2\"]}",
                node("b", None, Act::Faults(lie)),
            ),
            (
                "b/2 none",
                "{\"node\":\"b\",\"device\":2,\"faults\":\"none\"}",
                node("b", Some(2), Act::Faults(Faults::default())),
            ),
            (
                "b off",
                "{\"node\":\"b\",\"button\":\"off\"}",
                node("b", None, Act::Button(false)),
            ),
            (
                "b restart",
                "{\"node\":\"b\",\"restart\":true}",
                node("b", None, Act::Restart),
            ),
        ];
        for (words, json, order) in cases {
            assert_eq!(read(words).as_ref(), Ok(&order), "{words}");
            assert_eq!(read(json).as_ref(), Ok(&order), "{json}");
        }
    }

    #[test]
    fn what_is_not_understood_says_what_would_be() {
        for (line, says) in [
            ("b lies", "\"lies\" is no fault; write one of: slow"),
            ("b/x lie", "no number of a device"),
            ("{\"node\":\"b\"}", "one of faults, button"),
            ("{\"node\":\"b\",\"fault\":\"lie\"}", "unknown field `fault`"),
            ("{", "not understood"),
            ("b lie", "there is no device of a node \"b\""),
        ] {
            let answer = obey(&Fleet::default(), line);
            assert_eq!(answer["ok"], false, "{line}");
            assert!(
                answer["error"].as_str().unwrap().contains(says),
                "{line}: {answer}"
            );
        }
    }
}
