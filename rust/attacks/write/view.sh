# threat: write host files, change /usr
# attack: makes files in the root, /etc, /run, /dev and the like, which all sandboxes of a template share
# escapes: without ReadOnly LandlockFiles as user
# escapes: without ReadOnly DedicatedIds LandlockFiles as root
for place in / /etc /run /dev /proc /root /home /var /usr /usr/bin /etc/e2bridge /etc/alternatives /lib64; do
  if echo x 2>/dev/null >"$place/e2bridge-attack"; then rm -f "$place/e2bridge-attack"; escaped "a file in $place"; fi
  if mkdir "$place/e2bridge-attack.d" 2>/dev/null; then rmdir "$place/e2bridge-attack.d"; escaped "a directory in $place"; fi
  if mv "$place" "$place.moved" 2>/dev/null; then mv "$place.moved" "$place"; escaped "$place was moved"; fi
  if [ "$place" = /etc ] && chmod u+w /etc/hosts 2>/dev/null; then escaped 'mode of /etc/hosts'; fi
done
contained 'nothing was made'
