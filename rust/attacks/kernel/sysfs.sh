# threat: sysrq, core_pattern, modprobe, sysctl, kcore, kmsg, kallsyms, timers, slab and page tables
# attack: looks for /sys, /boot, firmware and debugging file systems
# escapes: unconfined
for path in /sys/kernel /sys/fs/cgroup /sys/class /sys/devices /boot /lib/firmware/../../boot /debug /config; do
  [ -e "$path" ] && [ -n "$(ls -A "$path" 2>/dev/null)" ] && escaped "$path: $(ls "$path" | head -3 | tr '\n' ' ')"
done
grep -E ' - (sysfs|debugfs|tracefs|securityfs|bpf|cgroup|cgroup2|configfs|pstore|efivarfs|mqueue|devpts) ' /proc/self/mountinfo >/tmp/found &&
  escaped "$(head -1 /tmp/found)"
contained 'none is there'
