# Run it as root on one node of the running cluster, whose fence agents are installed on every node
# (fencekit install-agents). It edits a copy of the cluster's configuration and brings it in at once: when
# something fails, the cluster stays as it was. A second run changes nothing.
#
#   --dry-run    show what would change, and change nothing
#   --prune      also remove fence resources of ours whose node or device is no longer in the cluster file
#   --cib FILE   edit this file instead of a running cluster
set -Eeuo pipefail
umask 077
export LC_ALL=C.UTF-8

say() { printf '%s\n' "$*"; }
die() {
    printf 'configure-stonith: %s\n' "$*" >&2
    exit 1
}
usage() {
    printf 'usage: %s [--dry-run] [--prune] [--cib FILE]\n' "${0##*/}" >&2
    exit 2
}

dry_run=false prune=false cib_file=
while [ $# -gt 0 ]; do
    case $1 in
        --dry-run) dry_run=true ;;
        --prune) prune=true ;;
        --cib) [ $# -gt 1 ] || usage; cib_file=$2; shift ;;
        *) usage ;;
    esac
    shift
done

for tool in pcs crm_verify cibadmin mktemp cp mv sed; do
    command -v "$tool" >/dev/null || die "$tool is not installed on this node"
done
python=$(command -v /usr/bin/python3 || command -v /usr/libexec/platform-python || command -v python3) ||
    die "python3, which pcs itself runs on, is not installed on this node"
[ -n "$cib_file" ] || [ "$(id -u)" = 0 ] || die "run it as root"
[ -z "$cib_file" ] || [ -r "$cib_file" ] || die "$cib_file: cannot be read"

version=$(pcs --version) || die "pcs --version failed"
IFS=. read -r major minor patch <<<"$version.0.0"
minor=${minor%%[!0-9]*} patch=${patch%%[!0-9]*}
[ "$major" = 0 ] && [ "${minor:-0}" -ge 10 ] || [ "$major" -ge 1 ] || die "pcs $version is too old; 0.10 or later is needed"
if [ "$major" != 0 ] || [ "$minor" -gt 12 ]; then
    say "pcs $version is newer than this script knows (0.10 to 0.12)"
fi
# Since 0.10.9 the target and the devices of a level are told by keywords; 0.12 takes nothing else.
keywords=true
[ "$major" = 0 ] && [ "$minor" = 10 ] && [ "${patch:-0}" -lt 9 ] && keywords=false

# Passwords are written into this directory alone, never on a command line.
if [ -d /run ] && [ -w /run ]; then
    work=$(mktemp -d /run/configure-stonith.XXXXXXXX)
else
    work=$(mktemp -d)
fi
trap 'rm -rf -- "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
mkdir -- "$work/secrets"
new=$work/new.xml

step() { "$python" -I "$work/step.py" "$@"; }
edit() { pcs -f "$new" "$@" </dev/null || die "pcs refused; the cluster is as it was"; }

# checking=FILE compares that configuration; otherwise $new is edited.
checking='' wrong=() resources=()

# secret RESOURCE OPTION, the value on stdin: what the next "device" of that name gets besides its arguments.
secret() {
    mkdir -p -- "$work/secrets/$1"
    cat >"$work/secrets/$1/$2"
}

# device RESOURCE AGENT INTERVAL OPTION=VALUE...
device() {
    local id=$1 agent=$2 interval=$3 state file hidden=() stale=()
    shift 3
    resources+=("$id")
    state=$(step device "${checking:-$new}" "$work/secrets" "$id" "$agent" "$interval" "$@") ||
        die "cannot read the configuration of $id"
    [ "$state" != same ] || return 0
    if [ -n "$checking" ]; then
        state=$(step odd "$checking" "$work/secrets" "$id" "$@") || die "cannot read the configuration of $id"
        wrong+=("$id is not as asked for${state:+: $state}")
        return 0
    fi
    case $state in
        foreign*) die "$id is already the name of something else in this cluster: ${state#foreign }" ;;
    esac
    # pcs sees that there is a value; step.py puts the true one in its place.
    for file in "$work/secrets/$id"/*; do
        [ -e "$file" ] || continue
        case ${file##*/} in
            encryption_key) hidden+=("encryption_key=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=") ;;
            *_url) hidden+=("${file##*/}=/hidden") ;;
            *) hidden+=("${file##*/}=00") ;;
        esac
    done
    if [ "$state" = absent ]; then
        edit stonith create "$id" "$agent" "$@" "${hidden[@]}" op monitor "interval=$interval"
    else
        # Options that the cluster file no longer has: an empty value takes them away.
        mapfile -t stale <<<"${state#differs}"
        stale=("${stale[@]:1}")
        step retype "$new" "$id" "$agent" || die "cannot change the agent of $id"
        edit stonith update "$id" "$@" "${hidden[@]}" "${stale[@]}" op monitor "interval=$interval"
    fi
    step secrets "$new" "$work/secrets" "$id" || die "cannot write the secrets of $id"
}

# level NODE RESOURCE...: all of them must succeed
level() { level_at 1 "$@"; }

# level_at INDEX NODE RESOURCE...
level_at() {
    local index=$1 node=$2 state
    shift 2
    state=$(step level "${checking:-$new}" "$index" "$node" "$@") || die "cannot read the levels of $node"
    [ "$state" != same ] || return 0
    if [ -n "$checking" ]; then
        wrong+=("fence level $index of $node is not as asked for")
        return 0
    fi
    [ "$state" != differs ] || remove_level "$index" "$node"
    edit stonith level add "$index" "$node" "$@"
}

remove_level() {
    if $keywords; then
        edit stonith level remove "$1" target "$2"
    else
        edit stonith level remove "$1" "$2"
    fi
}

# only_levels NODE INDEX...: it has no other; one that is tried when ours failed would pass by the verification
only_levels() {
    local node=$1 state whose index devices
    shift
    state=$(step beyond "${checking:-$new}" "$node" "$@" -- "${resources[@]}") || die "cannot read the levels of $node"
    [ -n "$state" ] || return 0
    while read -r whose index devices; do
        if [ -n "$checking" ]; then
            wrong+=("$node has level $index ($devices) besides those asked for")
        elif [ "$whose" = ours ]; then
            remove_level "$index" "$node"
        else
            die "$node has level $index ($devices), which is tried when the levels of the cluster file failed, and can pass by their verification; put its devices into the cluster file, or take it away: pcs stonith level remove $index $($keywords && printf 'target ')$node"
        fi
    done <<<"$state"
}

# keep_off RESOURCE NODE...: it never runs there, and may run everywhere else
keep_off() {
    local id=$1 state line nodes=()
    shift
    state=$(step rules "${checking:-$new}" "$id" "$@") || die "cannot read the location rules of $id"
    [ -n "$state" ] || return 0
    if [ -n "$checking" ]; then
        wrong+=("the location rules of $id are not as asked for")
        return 0
    fi
    while IFS= read -r line; do
        case $line in
            "add "*) nodes+=("${line#add }") ;;
            "remove "*) edit constraint remove "${line#remove }" ;;
        esac
    done <<<"$state"
    [ ${#nodes[@]} = 0 ] || edit constraint location "$id" avoids "${nodes[@]}"
}

# property NAME VALUE
property() {
    local state
    state=$(step property "${checking:-$new}" "$1" "$2") || die "cannot read the property $1"
    [ "$state" != same ] || return 0
    if [ -n "$checking" ]; then
        wrong+=("$1 is not $2")
        return 0
    fi
    edit property set "$1=$2"
}

