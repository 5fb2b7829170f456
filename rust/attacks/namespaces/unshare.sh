# threat: userns, mount, unshare, setns, clone3 with namespaces, fsopen, open_tree, pivot_root
# attack: makes namespaces by the programs of the system
# escapes: without Call:unshare FurtherNamespaces
for flags in -U -Ur -Urm '-Urn --mount-proc -pf' -m -n -p -i -u -C; do
  if unshare $flags true 2>/dev/null; then escaped "unshare $flags"; fi
done
for kind in user mnt net pid ipc uts; do
  if nsenter --$kind=/proc/1/ns/$kind true 2>/dev/null; then escaped "nsenter $kind"; fi
done
contained 'none can be made'
