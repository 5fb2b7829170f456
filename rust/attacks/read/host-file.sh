# threat: read host files, credentials, /etc/shadow, the JVM's environment
# attack: reads files of the host by their own names and by detours over /proc and links
# escapes: without OldRoot
for way in '' /.. /run /proc/1/root /proc/self/root /proc/$PPID/root /proc/self/cwd/../../../..; do
  for file in @HOST_DIRECTORY@/secret /etc/shadow /etc/gshadow /root/.profile /root/.bash_history; do
    if cat "$way$file" >/tmp/got 2>/dev/null; then escaped "$way$file: $(head -c 40 /tmp/got)"; fi
    ln -sf "$way$file" /tmp/link && if cat /tmp/link >/tmp/got 2>/dev/null; then escaped "link to $way$file"; fi
  done
done
[ "$(cut -d: -f1 /etc/passwd | tr '\n' ' ')" = 'root user nobody ' ] || escaped "accounts: $(head -c 200 /etc/passwd)"
contained 'none can be read'
