#!/bin/bash
# Process 1 of a node: its mounts, then corosync and pacemaker. When it ends, so does everything on the node.
# usage: node.sh NAME DISK SHARED
#   DISK    what the node keeps over a restart: its logs, its copy of the cluster's configuration
#   SHARED  the same for all nodes: corosync.conf, the fence agents, the resource agent
set -Eeuo pipefail
umask 022
name=$1 disk=$2 shared=$3

mount --make-rprivate /
# Pacemaker may restart a machine through these. It must never be this one.
for file in /proc/sysrq-trigger /proc/sys/kernel/sysrq; do
    if [ -e "$file" ]; then mount --bind /dev/null "$file"; fi
done
hostname "$name"
for dir in /run /dev/shm /etc/corosync; do
    mount -t tmpfs -o mode=1777 none "$dir"
done
install -d -m 0755 /run/lock /run/resource-agents
install -d -m 0750 -o hacluster -g haclient /run/crm
cp "$shared/corosync.conf" /etc/corosync/
mount -t overlay -o "lowerdir=$shared/agents:/usr/sbin" none /usr/sbin
mount -t overlay -o "lowerdir=$shared/ocf:/usr/lib/ocf/resource.d" none /usr/lib/ocf/resource.d
for dir in corosync pacemaker; do
    mkdir -p "$disk/$dir"
    mount --bind "$disk/$dir" "/var/lib/$dir"
done
mkdir -p "$disk/log/pacemaker" "$disk/log/corosync"
mount --bind "$disk/log" /var/log
mkdir -p /var/lib/pacemaker/{cib,pengine,cores,blackbox}
# The configuration of a cluster that nobody has fenced yet.
[ -e /var/lib/pacemaker/cib/cib.xml ] || cp "$shared/cib.xml" /var/lib/pacemaker/cib/
chown -R hacluster:haclient /var/lib/pacemaker /var/log/pacemaker
chmod 0750 /var/lib/pacemaker/*
chmod 0600 /var/lib/pacemaker/cib/*

export PCMK_logfile=/var/log/pacemaker/pacemaker.log PCMK_logfacility=none HA_LOGFACILITY=none
ulimit -c 0
corosync -f &
corosync=$!
for _ in {1..600}; do
    corosync-cmapctl -g totem.version >/dev/null 2>&1 && break
    kill -0 "$corosync" || exit 1
    sleep 0.1
done
pacemakerd &
# A machine goes on running when its daemons have ended, and takes note of orphans' ends.
while :; do
    sleep 3600 &
    wait "$!" || true
done
