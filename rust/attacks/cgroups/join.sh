# threat: release_agent, own limits, leaving the cgroup
# attack: looks for its groups, writes itself elsewhere and raises its limits
# escapes: unconfined as root
for base in /sys/fs/cgroup /cgroup /tmp/cgroup /run/cgroup /proc/1/root/sys/fs/cgroup; do
  for file in cgroup.procs memory/cgroup.procs pids/cgroup.procs memory/memory.limit_in_bytes memory.max release_agent memory/release_agent rdma/release_agent unified/cgroup.procs cpu/cgroup.procs; do
    if [ -w "$base/$file" ] && true 2>/dev/null >>"$base/$file"; then escaped "$base/$file can be written"; fi
  done
done
grep -vE ':/$' /proc/self/cgroup >/tmp/groups && escaped "its place is known: $(head -1 /tmp/groups)"
grep -E ' - cgroup2? ' /proc/self/mountinfo >/tmp/mounts && escaped "$(head -1 /tmp/mounts)"
contained 'there are no groups to be seen'
