#!/bin/sh
# A place for Pacemaker's fencer, in a mount namespace of a test's own: everything that it writes to becomes empty,
# and the agents in the directory given appear among the machine's others.
set -eu
for dir in /run /var/lib/pacemaker /var/log; do mount -t tmpfs -o mode=0755 none "$dir"; done
mount -t tmpfs -o mode=1777 none /dev/shm
mkdir -p /run/crm /var/lib/pacemaker/cores /var/lib/pacemaker/cib /var/lib/pacemaker/pengine /var/log/pacemaker
chown -R hacluster:haclient /run/crm /var/lib/pacemaker /var/log/pacemaker
mount -t overlay -o "lowerdir=$1:/usr/sbin" none /usr/sbin
