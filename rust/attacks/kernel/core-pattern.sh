# threat: sysrq, core_pattern, modprobe, sysctl, kcore, kmsg, kallsyms, timers, slab and page tables
# attack: opens core_pattern, modprobe, sysrq and the like for writing, from a shell
# escapes: without DedicatedIds LandlockFiles as root
for file in core_pattern modprobe sysrq hotplug poweroff_cmd core_uses_pid randomize_va_space panic usermodehelper/bset ns_last_pid; do
  if { true >>/proc/sys/kernel/$file; } 2>/dev/null; then escaped "/proc/sys/kernel/$file"; fi
done
for file in /proc/sysrq-trigger /proc/sys/vm/drop_caches /proc/sys/fs/binfmt_misc/register /proc/sys/net/ipv4/ip_forward /proc/sys/user/max_user_namespaces /sys/kernel/uevent_helper; do
  if { true >>$file; } 2>/dev/null; then escaped "$file"; fi
done
contained 'none can be opened'
