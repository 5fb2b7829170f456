# threat: write host files, change /usr
# attack: opens files and directories of the system for writing, by name, by link and by copying over
# escapes: without ReadOnly DedicatedIds LandlockFiles as root
for file in /usr/share/common-licenses/GPL-3 /usr/lib/os-release /etc/passwd /etc/hosts /etc/ld.so.cache /usr/bin/env /lib64/ld-linux-x86-64.so.2; do
  [ -e "$file" ] || continue
  if true 2>/dev/null >>"$file"; then escaped "$file can be written"; fi
  ln -sf "$file" /tmp/link
  if true 2>/dev/null >>/tmp/link; then escaped "$file can be written over a link"; fi
  if ln "$file" /tmp/hard 2>/dev/null; then escaped "hard link to $file"; fi
done
contained 'none can be opened'
