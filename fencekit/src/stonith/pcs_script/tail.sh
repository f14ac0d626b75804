
# compare FILE: whether it is all there
compare() {
    checking=$1 wrong=() resources=()
    wanted
    checking=''
    [ ${#wrong[@]} = 0 ] && return 0
    printf 'configure-stonith: %s\n' "${wrong[@]}" >&2
    return 1
}

# What crm_verify has against the configuration, a line each; the state of the nodes does not count.
faults() {
    step bare "$1" "$work/bare.xml" || die "cannot read $1"
    { crm_verify -V -x "$work/bare.xml" 2>&1 || printf '%s\n' "crm_verify fails"; } | grep -v -e '^crm_verify: ' -e '^-V ' || true
}
verify() {
    local before after line
    after=$(faults "$new")
    [ -n "$after" ] || return 0
    before=$(faults "$work/original.xml")
    printf '%s\n' "$after" >&2
    while IFS= read -r line; do
        grep -qxF -e "$line" <<<"$before" ||
            die "the new configuration is not valid (crm_verify above); the cluster is as it was"
    done <<<"$after"
    say "WARNING: crm_verify had these faults to find before, too; they are not of this script"
}

if [ -n "$cib_file" ]; then
    cp -- "$cib_file" "$work/original.xml"
else
    pcs cluster cib "$work/original.xml" || die "the cluster's configuration cannot be read; is it running here?"
fi
cp -- "$work/original.xml" "$new"

wanted
leftover=$(step leftover "$new" "${resources[@]}") || die "cannot look for what is no longer wanted"
if [ -n "$leftover" ]; then
    while read -r -a line; do
        if [ "${line[0]}" = level ] && $prune; then
            remove_level "${line[1]}" "${line[2]}"
        elif [ "${line[0]}" = level ]; then
            say "level ${line[1]} of ${line[2]}: no longer in the cluster file; --prune removes it"
        elif $prune; then
            edit stonith delete "${line[1]}"
        else
            say "${line[1]}: no longer in the cluster file; --prune removes it"
        fi
    done <<<"$leftover"
fi

compare "$new" || die "the edited configuration is not what was asked for; the cluster is as it was"
# The same once more as Pacemaker itself writes it: what it would change on the way must not get into the cluster.
CIB_file=$new cibadmin --query >"$work/carried.xml" || die "Pacemaker cannot read the new configuration; the cluster is as it was"
compare "$work/carried.xml" || die "Pacemaker on this node changes what it is given; the cluster is as it was"
verify

if step equal "$work/original.xml" "$new"; then
    changed=false
    say "Nothing to change."
else
    changed=true
    step show "$work/original.xml" "$new" || die "cannot show the difference"
fi
# A property that nobody asked for is not this script's to set.
unset=$(step unset "$new" cluster-recheck-interval) || die "cannot read the properties"
[ -z "$unset" ] ||
    say "ADVICE: after ten failed fencings of a node Pacemaker tries again every cluster-recheck-interval, 15 minutes unless set: pcs property set cluster-recheck-interval=60s"
if $dry_run; then
    ! $changed || say "Dry run: nothing was changed."
    exit 0
fi

if $changed && [ -n "$cib_file" ]; then
    cp -p -- "$cib_file" "$cib_file.$$" || die "cannot write beside $cib_file, which is as it was"
    if ! cat -- "$new" >"$cib_file.$$" || ! mv -f -- "$cib_file.$$" "$cib_file"; then
        rm -f -- "$cib_file.$$"
        die "cannot write $cib_file, which is as it was"
    fi
elif $changed; then
    pcs cluster cib-push "$new" "diff-against=$work/original.xml" ||
        die "the cluster did not take the change and is as it was; somebody else may have changed it meanwhile: run this again"
fi

# What counts is what the cluster has now.
if [ -n "$cib_file" ]; then
    compare "$cib_file" || die "$cib_file is not what was asked for"
    say "$cib_file is as asked for."
    exit 0
fi
pcs cluster cib "$work/after.xml" || die "the change is in, but the cluster's configuration cannot be read back"
compare "$work/after.xml" || die "the cluster's configuration is not what was asked for; somebody else may have changed it: run this again"

# again NAME...: Pacemaker gives up on a resource that failed to start, even when what it failed for is mended since, such as
# the cluster file that fence_check reads; this makes it forget the failure. Nothing happens to one that has not failed.
again() {
    local name
    for name; do
        crm_resource --cleanup --resource "$name" >"$work/again" 2>&1 || cat -- "$work/again" >&2
    done
}

idle=() nowhere=()
for round in {1..30}; do
    crm_mon --one-shot --output-as=xml >"$work/status.xml" || die "the configuration is in, but crm_mon cannot say what runs"
    step idle "$work/status.xml" "$work/after.xml" "${resources[@]}" >"$work/idle" ||
        die "the configuration is in, but crm_mon's answer cannot be read"
    mapfile -t idle < <(sed -n 's/^idle //p' "$work/idle")
    mapfile -t nowhere < <(sed -n 's/^nowhere //p' "$work/idle")
    [ ${#idle[@]} != 0 ] || break
    # The second time for what was still failing for the old reason the first time.
    case $round in 1 | 10) again "${idle[@]}" ;; esac
    sleep 2
done
[ ${#idle[@]} = 0 ] || die "the configuration is in, but these do not run: ${idle[*]}; see: pcs stonith status, and fencekit doctor"
if [ ${#nowhere[@]} != 0 ]; then
    # A node that is down cannot run what fences the others, and its own fence devices do not run on it either.
    say "WARNING: no node that may run them is up now: ${nowhere[*]}; they start when one is back"
    say "The cluster is as asked for, and every other fence resource runs."
else
    say "The cluster is as asked for, and every fence resource runs."
fi
