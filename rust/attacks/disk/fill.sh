# threat: disk and inode fill in /, /tmp, /dev/shm, the workspace
# attack: fills every place that it can write to, at most to twice the limit in all
# ends: killed
# afterwards: rm -f /tmp/fill* /home/user/fill* /data/fill* /opt/fill* /usr/local/fill* /srv/fill* /var/tmp/fill* /dev/shm/fill*; grep . /tmp/verdict 2>/dev/null || echo CONTAINED it did not come to an end
# escapes: without DiskSize
total=0
for place in /home/user /data /opt /usr/local /srv /var/tmp /dev/shm /tmp / /run /var /etc /root /usr; do
  head -c $((2 * @DISK@)) /dev/zero 2>/dev/null >$place/fill || :
  size=$(stat -c %s $place/fill 2>/dev/null || echo 0)
  total=$((total + size))
  [ $total -gt $((@DISK@ * 3 / 2)) ] && break
done
rm -f /dev/shm/fill /home/user/fill
if [ $total -gt $((@DISK@ * 3 / 2)) ]; then echo "ESCAPED $total bytes, allowed are @DISK@" >/tmp/verdict; else echo "CONTAINED $total bytes" >/tmp/verdict; fi
