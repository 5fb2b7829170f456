# threat: `..`, chroot, `/proc/PID/root`, fds and cwd of the helper, inherited fds
# attack: up from every directory it can be in, by .. and by the links of /proc
# escapes: unconfined
top=$(stat -Lc '%d:%i' /)
for start in / /home/user /tmp /usr /dev /proc /proc/1 /proc/self/cwd /proc/self/root; do
  cd "$start" 2>/dev/null || continue
  case $(pwd -P) in '(unreachable)'*) escaped "$start is unreachable";; esac
  cd ../../../../../../../../.. && [ "$(stat -Lc '%d:%i' .)" = "$top" ] || escaped "above $start is another root"
done
for path in /proc/1/root /proc/1/cwd /proc/$PPID/root; do
  if ls "$path/" >/dev/null 2>&1; then escaped "$path can be entered"; fi
done
contained 'everything ends at the root'
