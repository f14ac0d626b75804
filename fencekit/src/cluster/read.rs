//! From the tree to the model.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::entry::{self, Context, NODE, Placed};
use super::model::{Address, Cluster, Entry, Network, Node, Secrets, Stonith, Verify};
use super::reader::{Field, Reader, shortened};
use super::suggest;
use super::yaml::{self, Content, Position, Value};
use crate::error::Result;
use crate::method::Method;

/// Top-level keys that are ours; the others belong to somebody else.
const TOP: [&str; 5] = [
    "stonith_nodes",
    "stonith_fence_verify",
    "verify",
    "quorum_nodes",
    "stonith",
];
const VERIFY: [&str; 4] = ["wait", "metered_wait", "require_witness", "witnesses"];
const STONITH: [&str; 4] = ["monitor_interval", "off_timeout", "on_timeout", "secrets"];
const EXAMPLE: &str = "storage-a: {method: kasa, ip: 10.20.20.201}";
const SECOND: Duration = Duration::from_secs(1);

/// A cluster file that is read, with the places that later checks need.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) cluster: Cluster,
    reader: Reader,
    /// Where each node stands, in the order of the nodes.
    nodes: Vec<(Position, String)>,
    /// Keys of `verify.witnesses`, which may name a client network.
    witnesses: Vec<(Network, Position, String)>,
}

/// Reads a text. `base` is the directory from which its relative paths count.
pub(super) fn draft(text: &str, source: &str, base: &Path) -> Result<Draft> {
    let reader = Reader::new(source);
    let root = yaml::parse(text).map_err(|fault| reader.fault(fault))?;
    let Some(root) = root else {
        return Err(reader.wrong(
            Position::START,
            "",
            "the file is empty",
            "write stonith_nodes: with the nodes below it",
        ));
    };
    let mut warnings = Vec::new();
    let fields = top_fields(&reader, &root, &mut warnings)?;
    let mut draft = Draft {
        cluster: Cluster {
            nodes: Vec::new(),
            fence_verify: None,
            verify: Verify::default(),
            stonith: Stonith::default(),
            quorum_nodes: Vec::new(),
            warnings,
        },
        reader,
        nodes: Vec::new(),
        witnesses: Vec::new(),
    };
    draft.read(&fields, base)?;
    Ok(draft)
}

/// The keys that are ours. What others write elsewhere in the file, even twice, is theirs.
fn top_fields<'v>(
    reader: &Reader,
    root: &'v Rc<Value>,
    warnings: &mut Vec<String>,
) -> Result<BTreeMap<&'static str, Field<'v>>> {
    let mut fields: BTreeMap<&'static str, Field<'v>> = BTreeMap::new();
    let Content::Map(entries) = &root.content else {
        let kind = root.content.kind();
        return Err(reader.wrong(
            root.at,
            "",
            format!("the file is {kind}, not a map"),
            "write stonith_nodes: with the nodes below it",
        ));
    };
    for (key, value) in entries {
        let text = key.text().unwrap_or_default();
        let Some(name) = TOP.into_iter().find(|name| text == *name) else {
            if let Some(near) = suggest::nearest(text, TOP.into_iter()) {
                let place = reader.place(key.at, &shortened(text));
                warnings.push(format!("{place}: is passed over; did you mean {near}?"));
            }
            continue;
        };
        let field = Field {
            key: name,
            path: name.to_owned(),
            at: key.at,
            value,
        };
        if let Some(first) = fields.get(name) {
            return Err(reader.repeated(&field, first));
        }
        fields.insert(name, field);
    }
    Ok(fields)
}

impl Draft {
    fn read(&mut self, fields: &BTreeMap<&'static str, Field<'_>>, base: &Path) -> Result<()> {
        let Some(nodes) = fields.get("stonith_nodes") else {
            // The likeliest reason is already there as a warning.
            let slip = self.cluster.warnings.first().cloned();
            return Err(self.reader.wrong(
                Position::START,
                "stonith_nodes",
                "is missing",
                slip.unwrap_or_else(|| format!("write it with a node below it, as {EXAMPLE}")),
            ));
        };
        self.read_nodes(nodes, base)?;
        if let Some(field) = fields
            .get("stonith_fence_verify")
            .filter(|field| !field.is_null())
        {
            self.cluster.fence_verify = Some(self.reader.boolean(field)?);
        }
        if let Some(field) = fields.get("verify").filter(|field| !field.is_null()) {
            self.read_verify(field)?;
        }
        if let Some(field) = fields.get("stonith").filter(|field| !field.is_null()) {
            self.cluster.stonith = stonith(&self.reader, field)?;
        }
        if let Some(field) = fields.get("quorum_nodes") {
            for item in self.reader.list(field)? {
                let name = self.reader.scalar(item, item.at, &field.path)?;
                check_name(&self.reader, name, item.at, &field.path)?;
                self.cluster.quorum_nodes.push(name.to_owned());
            }
        }
        Ok(())
    }

    fn read_nodes(&mut self, nodes: &Field<'_>, base: &Path) -> Result<()> {
        let fields = match nodes.is_null() {
            true => Vec::new(),
            false => self.reader.fields(nodes.value, nodes.value_at(), &nodes.path)?,
        };
        if fields.is_empty() {
            return Err(self.reader.wrong(
                nodes.at,
                &nodes.path,
                "names no node",
                format!("write one below it, as {EXAMPLE}"),
            ));
        }
        let mut seen = HashMap::new();
        for field in &fields {
            check_name(&self.reader, field.key, field.at, &nodes.path)?;
            let (node, devices) = self.read_node(field, base)?;
            for device in &devices {
                self.refuse_shared(device, field.key, &mut seen)?;
            }
            self.cluster.nodes.push(node);
            self.nodes.push((field.at, field.path.clone()));
        }
        Ok(())
    }

    fn read_node(&mut self, node: &Field<'_>, base: &Path) -> Result<(Node, Vec<Placed>)> {
        let reader = &self.reader;
        let fields = reader.fields(node.value, node.at, &node.path)?;
        let (about_node, about_device): (Vec<_>, Vec<_>) =
            fields.into_iter().partition(|field| NODE.contains(&field.key));
        let mut addresses = Vec::new();
        let mut tcp_ports = Vec::new();
        let (mut devices, mut fallback, mut delay) = (None, None, None);
        for field in &about_node {
            match field.key {
                "devices" => devices = Some(field),
                "fallback" => fallback = Some(field),
                "delay" => delay = Some(reader.time(field, SECOND)?),
                "tcp_ports" => tcp_ports = ports(reader, field)?,
                _ => addresses.extend(addresses_of(reader, field)?),
            }
        }
        let mut context = Context {
            reader,
            base,
            warnings: &mut self.cluster.warnings,
        };
        let mut placed = match devices {
            Some(list) => several(&mut context, list, &about_device)?,
            None => {
                if let Some(field) = about_device.iter().find(|field| !entry::is_known(field.key)) {
                    return Err(unknown_in_node(reader, field, &about_device));
                }
                let (at, path) = (node.at, &node.path);
                vec![entry::read(&mut context, &about_device, &[], &mut [], at, path)?]
            }
        };
        let devices = placed.iter().map(|placed| placed.entry.clone()).collect();
        if let Some(field) = fallback {
            let own = reader.fields(field.value, field.value_at(), &field.path)?;
            let at = field.value_at();
            placed.push(entry::read(&mut context, &own, &[], &mut [], at, &field.path)?);
        }
        let node = Node {
            name: node.key.to_owned(),
            devices,
            fallback: fallback.and_then(|_| placed.last().map(|placed| placed.entry.clone())),
            delay,
            addresses,
            tcp_ports,
            has_host_vars: false,
        };
        Ok((node, placed))
    }

    /// Fencing one of two nodes on the same outlet would cut the other; a device listed twice proves nothing more.
    fn refuse_shared(
        &self,
        device: &Placed,
        node: &str,
        seen: &mut HashMap<String, (String, Position)>,
    ) -> Result<()> {
        let Some(outlet) = outlet_key(&device.entry) else {
            return Ok(());
        };
        match seen.insert(outlet, (node.to_owned(), device.at)) {
            None => Ok(()),
            Some((other, at)) if other == node => Err(self.reader.wrong(
                device.at,
                &device.path,
                format!("is the same device and outlet as on line {}", at.line),
                "list each power supply's outlet once",
            )),
            Some((other, at)) => Err(self.reader.wrong(
                device.at,
                &device.path,
                format!("is the device and outlet of {other} on line {}", at.line),
                format!("fencing {node} would cut the power of {other}: give each its own ip, port or plug"),
            )),
        }
    }

    fn read_verify(&mut self, section: &Field<'_>) -> Result<()> {
        let reader = &self.reader;
        let verify = &mut self.cluster.verify;
        for field in reader.fields(section.value, section.value_at(), &section.path)? {
            match field.key {
                "wait" => verify.wait = reader.time(&field, SECOND)?,
                "metered_wait" if field.is_null() => {}
                "metered_wait" => verify.metered_wait = Some(reader.time(&field, SECOND)?),
                "require_witness" => verify.require_witness = reader.boolean(&field)?,
                "witnesses" if field.is_null() => {}
                "witnesses" => {
                    for witness in reader.fields(field.value, field.value_at(), &field.path)? {
                        let network = Network::named(witness.key);
                        let addresses = each_address(reader, &witness)?;
                        if addresses.is_empty() {
                            return Err(reader.wrong(
                                witness.value_at(),
                                &witness.path,
                                "names no witness",
                                "write a host that always answers there, or take the key away",
                            ));
                        }
                        verify.witnesses.insert(network.clone(), addresses);
                        self.witnesses.push((network, witness.at, witness.path));
                    }
                }
                _ => return Err(reader.unknown(&field, &VERIFY)),
            }
        }
        if verify.metered_wait.is_some_and(|shorter| shorter > verify.wait) {
            return Err(reader.wrong(
                section.at,
                "verify.metered_wait",
                "is longer than wait",
                "write a shorter time: it replaces wait when a meter saw the draw fall",
            ));
        }
        Ok(())
    }

    /// Adds the addresses of a node's host variables, a file of the original's `host_vars`.
    pub(super) fn add_host_vars(&mut self, node: &str, text: &str, source: &str) -> Result<()> {
        let reader = Reader::new(source);
        let Some(root) = yaml::parse(text).map_err(|fault| reader.fault(fault))? else {
            return Ok(());
        };
        let Some(node) = self.cluster.nodes.iter_mut().find(|known| known.name == node) else {
            return Ok(());
        };
        let of_file = node.addresses.len();
        for field in reader.fields_with_repeats(&root, root.at, "")? {
            if !matches!(field.key, "mgmt_ip" | "storage_ip" | "client_ips") {
                continue;
            }
            add_addresses(&reader, node, addresses_of(&reader, &field)?, &field)?;
        }
        node.has_host_vars = node.addresses.len() > of_file;
        Ok(())
    }

    /// The last checks, for which everything must be known.
    pub(super) fn finish(self) -> Result<Cluster> {
        self.check_witnesses()?;
        self.check_addresses()?;
        Ok(self.cluster)
    }

    fn check_witnesses(&self) -> Result<()> {
        let mut names = vec!["management".to_owned(), "storage".to_owned(), "client".to_owned()];
        for address in self.cluster.nodes.iter().flat_map(|node| &node.addresses) {
            let name = address.network.to_string();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        for (network, at, path) in &self.witnesses {
            let network = network.to_string();
            if !names.contains(&network) {
                let near = suggest::nearest(&network, names.iter().map(String::as_str));
                let mend = match near {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("write one of: {}", names.join(", ")),
                };
                return Err(self.reader.wrong(*at, path, "is no network of any node", mend));
            }
        }
        Ok(())
    }

    fn check_addresses(&self) -> Result<()> {
        let mut seen: HashMap<IpAddr, &str> = HashMap::new();
        for (node, (at, path)) in self.cluster.nodes.iter().zip(&self.nodes) {
            for address in &node.addresses {
                let owner = seen.entry(address.ip).or_insert(&node.name);
                if *owner != node.name {
                    return Err(self.reader.wrong(
                        *at,
                        path,
                        format!("has the address {} of {owner}", address.ip),
                        "give each node its own: an answer must tell which node is alive",
                    ));
                }
            }
        }
        Ok(())
    }
}

fn several(context: &mut Context<'_>, list: &Field<'_>, defaults: &[Field<'_>]) -> Result<Vec<Placed>> {
    let reader = context.reader;
    let items = match &list.value.content {
        Content::List(items) if !items.is_empty() => items,
        _ => {
            return Err(reader.wrong(
                list.value_at(),
                &list.path,
                "is no list of devices",
                "write one map for each power supply, as [{ip: 10.20.20.202}, {ip: 10.20.20.203}]",
            ));
        }
    };
    let mut used = vec![false; defaults.len()];
    let mut devices = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let path = format!("{}[{index}]", list.path);
        let own = reader.fields(item, item.at, &path)?;
        devices.push(entry::read(context, &own, defaults, &mut used, item.at, &path)?);
    }
    let unused = defaults
        .iter()
        .zip(used)
        .find(|(field, used)| !used && field.key != "method");
    match unused {
        None => Ok(devices),
        Some((field, _)) if entry::is_known(field.key) => Err(reader.wrong(
            field.at,
            &field.path,
            "is no key of any of the devices' methods",
            "take it away, or check the methods",
        )),
        Some((field, _)) => Err(unknown_in_node(reader, field, defaults)),
    }
}

/// A key that neither a node nor any device has.
fn unknown_in_node(reader: &Reader, field: &Field<'_>, fields: &[Field<'_>]) -> crate::Error {
    let method = fields
        .iter()
        .filter(|field| field.key == "method")
        .find_map(|field| field.value.text()?.parse::<Method>().ok());
    let mut known = NODE.to_vec();
    match method {
        Some(method) => known.extend(entry::keys_of(method)),
        None => known.extend(Method::ALL.into_iter().flat_map(entry::keys_of)),
    }
    reader.unknown(field, &known)
}

fn stonith(reader: &Reader, section: &Field<'_>) -> Result<Stonith> {
    let mut stonith = Stonith::default();
    for field in reader.fields(section.value, section.value_at(), &section.path)? {
        match field.key {
            "monitor_interval" => stonith.monitor_interval = reader.time(&field, SECOND)?,
            "off_timeout" => stonith.off_timeout = reader.time(&field, SECOND)?,
            "on_timeout" => stonith.on_timeout = reader.time(&field, SECOND)?,
            "secrets" => {
                stonith.secrets = match reader.text(&field)?.trim() {
                    "cib" => Secrets::Cib,
                    "file" => Secrets::File,
                    other => return Err(reader.not_valid(&field, other, "write cib or file")),
                };
            }
            _ => return Err(reader.unknown(&field, &STONITH)),
        }
    }
    Ok(stonith)
}

/// Pacemaker lists nodes with spaces, commas and semicolons between, and maps them with colons.
fn check_name(reader: &Reader, name: &str, at: Position, path: &str) -> Result<()> {
    let splits = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ',' | ';' | ':');
    if name.is_empty() || name.len() > 255 || name.contains(splits) {
        return Err(reader.wrong(
            at,
            path,
            format!("\"{}\" cannot be a node's name", shortened(name)),
            "write it as crm_node -l shows it: no spaces, commas, semicolons or colons",
        ));
    }
    Ok(())
}

fn ports(reader: &Reader, field: &Field<'_>) -> Result<Vec<u16>> {
    if field.is_null() {
        return Err(reader.wrong(
            field.at,
            &field.path,
            "is blank",
            "write port numbers, as [22, 445], or take the key away",
        ));
    }
    let mut ports = Vec::new();
    for item in reader.list(field)? {
        let text = reader.scalar(item, item.at, &field.path)?;
        match text.trim().parse::<u16>() {
            Ok(port) if port > 0 => ports.push(port),
            _ => {
                return Err(reader.wrong(
                    item.at,
                    &field.path,
                    format!("\"{}\" is no port", shortened(text)),
                    "write whole numbers from 1 to 65535, as [22, 445]",
                ));
            }
        }
    }
    Ok(ports)
}

/// The addresses of `mgmt_ip`, `storage_ip` or `client_ips`: one, a list, or (client) a map from network to address.
fn addresses_of(reader: &Reader, field: &Field<'_>) -> Result<Vec<Address>> {
    let network = match field.key {
        "mgmt_ip" => Network::Management,
        "storage_ip" => Network::Storage,
        _ => Network::Client(None),
    };
    if network != Network::Client(None) || !matches!(field.value.content, Content::Map(_)) {
        let addresses = each_address(reader, field)?;
        let on_network = addresses.into_iter().map(|ip| Address {
            network: network.clone(),
            ip,
        });
        return Ok(on_network.collect());
    }
    let mut addresses = Vec::new();
    for client in reader.fields(field.value, field.value_at(), &field.path)? {
        if matches!(client.key, "management" | "storage") {
            return Err(reader.wrong(
                client.at,
                &client.path,
                "is no client network",
                "write mgmt_ip or storage_ip, or give the network another name",
            ));
        }
        for ip in each_address(reader, &client)? {
            let network = Network::named(client.key);
            addresses.push(Address { network, ip });
        }
    }
    Ok(addresses)
}

/// An address that is left blank is an error: its network would go unwatched without anybody noticing.
fn each_address(reader: &Reader, field: &Field<'_>) -> Result<Vec<IpAddr>> {
    if field.is_null() {
        return Err(reader.wrong(
            field.at,
            &field.path,
            "is blank",
            "write an address, as 10.20.20.1, or take the key away",
        ));
    }
    let items = reader.list(field)?;
    let places = items.into_iter().map(|item| match item.content {
        Content::Null => (item, field.at),
        _ => (item, item.at),
    });
    places
        .map(|(item, at)| reader.address(item, at, &field.path))
        .collect()
}

/// Two files that disagree about where a node answers would let one of its addresses go unwatched. A network that the
/// cluster file does not say takes all of a list.
fn add_addresses(reader: &Reader, node: &mut Node, given: Vec<Address>, field: &Field<'_>) -> Result<()> {
    let known = node.addresses.clone();
    for address in given {
        let on_network = |other: &&Address| other.network == address.network;
        if node.addresses.contains(&address) {
            continue;
        }
        if let Some(other) = known
            .iter()
            .find(on_network)
            .filter(|_| field.key != "client_ips")
        {
            return Err(reader.wrong(
                field.value_at(),
                &field.path,
                format!(
                    "is {}, but the cluster file has {} for {}",
                    address.ip, other.ip, node.name
                ),
                "correct the wrong one",
            ));
        }
        node.addresses.push(address);
    }
    Ok(())
}

/// What tells one outlet from another; `None` where it cannot be told yet.
fn outlet_key(entry: &Entry) -> Option<String> {
    if entry.any_port {
        return None;
    }
    let settings = &entry.settings;
    let method = entry.method();
    // The doors of one device: which of them is named tells no outlets apart.
    let standard: &[u16] = match method {
        Method::Ipmi => &[623],
        Method::Kasa => &[9999, 80],
        Method::Esphome => &[6053, 80],
        Method::Tasmota | Method::Http => &[80, 443],
    };
    // An HTTP outlet may be all in its URLs.
    let host = settings
        .text("ip")
        .unwrap_or_default()
        .trim()
        .trim_matches(['[', ']'])
        .to_ascii_lowercase();
    let port: u16 = settings
        .integer("ipport")
        .filter(|port| !standard.contains(port))
        .unwrap_or_default();
    let plug = match method {
        Method::Ipmi => "",
        _ => settings.text("plug").unwrap_or_default().trim(),
    };
    let url = match method {
        Method::Http => settings.text("power_off_url").unwrap_or_default(),
        _ => "",
    };
    Some(format!("{method} {host} {port} {plug} {url}"))
}

/// The directory that relative paths of a file count from.
pub(super) fn base_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
