"""Reads a cluster's configuration file, and writes secrets into it. Run by the script around it."""
import difflib
import hashlib
import hmac
import os
import sys
import xml.etree.ElementTree as ET

AGENTS = ("fence_kasa", "fence_tasmota", "fence_esphome", "fence_http", "fence_ipmi", "fence_check")
SECRETS = ("password", "passwd", "fence_pass", "encryption_key", "hexadecimal_kg")


def primitive(root, name):
    return next((one for one in root.iter("primitive") if one.get("id") == name), None)


def options(one):
    pairs = one.findall("instance_attributes/nvpair")
    return {pair.get("name"): pair.get("value", "") for pair in pairs}


def interval(one):
    monitors = one.findall("operations/op[@name='monitor']")
    return [monitor.get("interval") for monitor in monitors]


def hidden(directory, name):
    folder = os.path.join(directory, name)
    values = {}
    for option in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        with open(os.path.join(folder, option), encoding="utf-8", newline="") as file:
            values[option] = file.read()[:-1]
    return values


def device(root, directory, name, agent, every, *given):
    wanted = dict(option.split("=", 1) for option in given)
    wanted.update(hidden(directory, name))
    one = primitive(root, name)
    if one is None:
        taken = next((other for other in root.iter() if other.get("id") == name), None)
        print("absent" if taken is None else "foreign " + taken.tag)
        return
    if one.get("class") != "stonith" or one.get("type") not in AGENTS:
        print("foreign %s:%s" % (one.get("class"), one.get("type")))
        return
    have = options(one)
    if have == wanted and one.get("type") == agent and interval(one) == [every]:
        print("same")
        return
    print("differs")
    if one.get("type") == agent:
        for option in sorted(set(have) - set(wanted)):
            print(option + "=")


def retype(root, name, agent):
    one = primitive(root, name)
    if one.get("type") == agent:
        return False
    one.set("type", agent)
    for values in one.findall("instance_attributes"):
        one.remove(values)
    return True


def secrets(root, directory, name):
    values = hidden(directory, name)
    changed = False
    for pair in primitive(root, name).findall("instance_attributes/nvpair"):
        value = values.pop(pair.get("name"), None)
        if value is not None and pair.get("value") != value:
            pair.set("value", value)
            changed = True
    if values:
        sys.exit("%s has no option %s" % (name, ", ".join(values)))
    return changed


def level(root, node, *devices):
    levels = [one for one in root.iter("fencing-level") if one.get("target") == node]
    first = [one for one in levels if one.get("index") == "1"]
    others = [one for one in levels if one.get("index") != "1"]
    if not first:
        print("absent")
    elif len(first) == 1 and first[0].get("devices").split(",") == list(devices):
        print("same")
    else:
        print("differs")
    if others:
        print(", ".join("%s: %s" % (one.get("index"), one.get("devices")) for one in others))


def rules(root, name, *nodes):
    ours = [one for one in root.iter("rsc_location") if one.get("rsc") == name and one.get("node")]
    bans = {one.get("node"): one for one in ours if one.get("score") == "-INFINITY" and one.get("role") is None}
    for node in nodes:
        if node not in bans:
            print("add " + node)
    for one in ours:
        if one.get("node") in nodes and bans.get(one.get("node")) is one:
            continue
        if one.get("score") == "-INFINITY" or one.get("node") in nodes:
            print("remove " + one.get("id"))


def pairs_of_properties(root):
    pairs = root.findall("configuration/crm_config/cluster_property_set/nvpair")
    return {pair.get("name"): pair.get("value") for pair in pairs}


def property_is(root, name, value):
    have = pairs_of_properties(root)
    same = have.get(name) == value
    # The name that Pacemaker 3 has for it stands above the old one.
    if name == "stonith-enabled" and have.get("fencing-enabled", value) != value:
        sys.exit("fencing-enabled is %s in this cluster; take it away: pcs property unset fencing-enabled" % have["fencing-enabled"])
    print("same" if same else "differs")


def leftover(root, *wanted):
    gone = []
    for one in root.iter("primitive"):
        name = one.get("id")
        ours = one.get("class") == "stonith" and one.get("type") in AGENTS and name.startswith("fence-")
        if ours and name not in wanted:
            gone.append(name)
    for one in root.iter("fencing-level"):
        devices = one.get("devices").split(",")
        if one.get("target") and devices and all(device in gone for device in devices):
            print("level %s %s" % (one.get("index"), one.get("target")))
    for name in gone:
        print("device " + name)


def lines(root, salt):
    """What matters of fencing, a line each; secrets only as whether they are the same."""
    found = []
    for one in root.iter("primitive"):
        if one.get("class") != "stonith":
            continue
        name = one.get("id")
        found.append("%s: %s" % (name, one.get("type")))
        for option, value in sorted(options(one).items()):
            if option in SECRETS or option.endswith(("_url", "_body")):
                value = "(hidden, %s)" % hmac.new(salt, value.encode(), hashlib.sha256).hexdigest()[:6]
            found.append("%s: %s=%s" % (name, option, value))
        found.extend("%s: monitor every %s" % (name, every) for every in interval(one))
    for one in root.iter("fencing-level"):
        found.append("level %s of %s: %s" % (one.get("index"), one.get("target"), one.get("devices")))
    for one in root.iter("rsc_location"):
        if one.get("node"):
            found.append("%s on %s: %s" % (one.get("rsc"), one.get("node"), one.get("score")))
    found.extend("property %s=%s" % pair for pair in sorted(pairs_of_properties(root).items()))
    return found


def equal(before, after):
    sys.exit(0 if full(before) == full(after) else 1)


def full(root):
    return [(one.tag, sorted(one.attrib.items())) for one in root.find("configuration").iter()]


def show(before, after):
    salt = os.urandom(16)
    for line in difflib.unified_diff(lines(before, salt), lines(after, salt), "now", "wanted", n=0, lineterm=""):
        if not line.startswith("@@"):
            print(line)


def idle(root, *names):
    for name in names:
        found = [one for one in root.iter("resource") if one.get("id") == name]
        runs = any(
            one.get("role") == "Started" and one.get("active") == "true" and one.get("failed") == "false"
            for one in found
        )
        if not runs:
            print(name)


def bare(root, target):
    """A copy without the nodes and their state."""
    for one in root.findall("status"):
        one.clear()
    nodes = root.find("configuration/nodes")
    if nodes is not None:
        nodes.clear()
    ET.ElementTree(root).write(target, encoding="utf-8", xml_declaration=True)


def main():
    verb, path = sys.argv[1:3]
    rest = sys.argv[3:]
    tree = ET.parse(path)
    if verb in ("equal", "show"):
        {"equal": equal, "show": show}[verb](tree.getroot(), ET.parse(rest[0]).getroot())
        return
    verbs = {
        "device": device,
        "retype": retype,
        "secrets": secrets,
        "level": level,
        "rules": rules,
        "property": property_is,
        "leftover": leftover,
        "idle": idle,
        "bare": bare,
    }
    if verbs[verb](tree.getroot(), *rest):
        tree.write(path, encoding="utf-8", xml_declaration=True)


main()
