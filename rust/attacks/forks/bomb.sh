# threat: fork bomb, threads, zombies
# attack: the fork bomb of the shell, bounded by itself: so many generations that they are at least twice what is allowed
# escapes: without Processes
generations=0; all=1
while [ $all -lt $((2 * @PROCESSES@)) ]; do generations=$((generations + 1)); all=$((all * 2)); done
bomb() {
  [ "$1" -gt 0 ] || exec sleep 2
  bomb $(($1 - 1)) &
  bomb $(($1 - 1)) &
  exec sleep 2
}
(bomb $generations) 2>/dev/null &
most=0; n=0
# Without a process of its own for anything: it may not get one.
while [ $n -lt 4000 ]; do
  set -- /proc/[0-9]*
  [ $# -gt $most ] && most=$#
  n=$((n + 1))
  [ $most -gt $((@PROCESSES@ * 5 / 4)) ] && break
  [ -e /proc/self/stat ] || break
done
[ $most -gt $((@PROCESSES@ * 5 / 4)) ] && escaped "$most processes, allowed are @PROCESSES@"
contained "$most processes at the most"
