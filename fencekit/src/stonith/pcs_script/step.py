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


def is_plain(one):
    """Whether one set holds all the options. With several, a rule or a reference Pacemaker decides which count."""
    sets = one.findall("instance_attributes")
    pairs = [pair.get("name") for pair in one.findall("instance_attributes/nvpair")]
    referred = any(part.get("id-ref") or part.tag == "rule" for own in sets for part in own.iter())
    return len(sets) <= 1 and not referred and len(pairs) == len(set(pairs))


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


def asked_for(directory, name, given):
    wanted = dict(option.split("=", 1) for option in given)
    wanted.update(hidden(directory, name))
    return wanted


def device(root, directory, name, agent, every, *given):
    wanted = asked_for(directory, name, given)
    one = primitive(root, name)
    if one is None:
        taken = next((other for other in root.iter() if other.get("id") == name), None)
        print("absent" if taken is None else "foreign " + taken.tag)
        return
    if one.get("class") != "stonith" or one.get("type") not in AGENTS:
        print("foreign %s:%s" % (one.get("class"), one.get("type")))
        return
    have = options(one)
    plain = is_plain(one)
    if plain and have == wanted and one.get("type") == agent and interval(one) == [every]:
        print("same")
        return
    print("differs")
    if plain and one.get("type") == agent:
        for option in sorted(set(have) - set(wanted)):
            print(option + "=")


def odd(root, directory, name, *given):
    """The options of a device that have another value; never the value."""
    one = primitive(root, name)
    wanted = asked_for(directory, name, given)
    have = {} if one is None else options(one)
    names = [option for option in sorted(set(wanted) | set(have)) if have.get(option) != wanted.get(option)]
    beyond = [option for option in names if any(ord(char) > 127 for char in wanted.get(option, ""))]
    if beyond:
        print(", ".join(beyond), "(holds a character beyond ASCII, which Pacemaker 2.0 changes: take another value)")
    elif names:
        print(", ".join(names))
    elif one is not None and not is_plain(one):
        print("its options are in several sets, under a rule or elsewhere")


def retype(root, name, agent):
    """Another agent, or options that are not in one plain set, begin with none."""
    one = primitive(root, name)
    if one.get("type") == agent and is_plain(one):
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


def level(root, index, node, *devices):
    levels = [one for one in root.iter("fencing-level") if one.get("target") == node]
    this = [one for one in levels if one.get("index") == index]
    if not this:
        print("absent")
    elif len(this) == 1 and devices_of(this[0]) == list(devices):
        print("same")
    else:
        print("differs")


def devices_of(level):
    return [name.strip() for name in level.get("devices", "").split(",")]


def beyond(root, node, *given):
    """The levels of a node besides the wanted ones: the indexes before "--", every wanted resource after it."""
    wanted, resources = given[: given.index("--")], given[given.index("--") + 1 :]
    ours = [*resources, *former(root, resources)]
    for one in root.iter("fencing-level"):
        if one.get("target") == node and one.get("index") not in wanted:
            whose = "ours" if all(name in ours for name in devices_of(one)) else "foreign"
            print(whose, one.get("index"), ", ".join(devices_of(one)))


def former(root, wanted):
    """Fence resources that are ours, but no longer wanted."""
    for one in root.iter("primitive"):
        name = one.get("id")
        ours = one.get("class") == "stonith" and one.get("type") in AGENTS and name.startswith("fence-")
        if ours and name not in wanted:
            yield name


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


def properties(root):
    """Every pair of the cluster's properties, and whether it counts without a condition."""
    for own in root.findall("configuration/crm_config/cluster_property_set"):
        conditional = any(part.get("id-ref") or part.tag == "rule" for part in own.iter())
        for pair in own.findall("nvpair"):
            yield referred(root, pair) + (not conditional,)


def referred(root, pair):
    """The name and the value of a pair, which may be those of another."""
    target = next((one for one in root.iter("nvpair") if one.get("id") == pair.get("id-ref")), pair)
    return pair.get("name") or target.get("name"), pair.get("value", target.get("value"))


def property_is(root, name, value):
    have = [(found, plain) for other, found, plain in properties(root) if other == name]
    # The name that Pacemaker 3 has for it stands above the old one.
    newer = [found for other, found, _ in properties(root) if other == "fencing-enabled" and found != value]
    if name == "stonith-enabled" and newer:
        sys.exit("fencing-enabled is %s in this cluster; take it away: pcs property unset fencing-enabled" % newer[0])
    if all(found == value for found, _ in have) and any(plain for _, plain in have):
        print("same")
    elif len(have) > 1 or not all(plain for _, plain in have):
        values = ", ".join(str(found) for found, _ in have)
        sys.exit("%s is set by a rule, by reference or more than once (%s); leave one plain value of it" % (name, values))
    else:
        print("differs")


def unset(root, name):
    if name not in [other for other, _, _ in properties(root)]:
        print(name)


def leftover(root, *wanted):
    gone = list(former(root, wanted))
    for one in root.iter("fencing-level"):
        if one.get("target") and all(name in gone for name in devices_of(one)):
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
        if not is_plain(one):
            found.append("%s: options in several sets, under a rule or elsewhere" % name)
    for one in root.iter("fencing-level"):
        found.append("level %s of %s: %s" % (one.get("index"), one.get("target"), one.get("devices")))
    for one in root.iter("rsc_location"):
        if one.get("node"):
            found.append("%s on %s: %s" % (one.get("rsc"), one.get("node"), one.get("score")))
    found.extend(sorted("property %s=%s" % (name, value) for name, value, _ in properties(root)))
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


def free(status):
    """The nodes that Pacemaker may start something on."""
    barred = ("standby", "standby_onfail", "maintenance", "pending", "unclean", "shutdown")
    for one in status.findall("nodes/node"):
        if one.get("online") == "true" and not any(one.get(word) == "true" for word in barred):
            yield one.get("name")


def idle(status, configuration, *names):
    """Which of them do not run; "nowhere" are those whose every node is down or otherwise closed to them."""
    root = ET.parse(configuration).getroot()
    nodes = set(free(status))
    for name in names:
        rules = [one for one in root.iter("rsc_location") if one.get("rsc") == name]
        banned = {one.get("node") for one in rules if one.get("score") == "-INFINITY" and one.get("role") is None}
        found = [one for one in status.iter("resource") if one.get("id") == name]
        runs = any(
            one.get("role") == "Started" and one.get("active") == "true" and one.get("failed") == "false"
            for one in found
        )
        if not nodes - banned:
            print("nowhere " + name)
        elif not runs:
            print("idle " + name)


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
        "odd": odd,
        "retype": retype,
        "secrets": secrets,
        "level": level,
        "beyond": beyond,
        "rules": rules,
        "property": property_is,
        "unset": unset,
        "leftover": leftover,
        "idle": idle,
        "bare": bare,
    }
    if verbs[verb](tree.getroot(), *rest):
        tree.write(path, encoding="utf-8", xml_declaration=True)


main()
