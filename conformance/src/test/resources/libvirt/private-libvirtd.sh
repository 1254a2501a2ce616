#!/bin/sh
# private-libvirtd.sh DIR: runs libvirtd in the foreground with all it reads and writes below DIR. Run it in mount
# and network namespaces of its own: neither the host's libvirt nor its packet filter notices anything.
set -eu
dir=$1
for place in /etc/libvirt /run/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt; do
    mkdir -p "$place" "$dir/host$place"
    mount --bind "$dir/host$place" "$place"
done
# Debian's libvirtd wants this user and group to be there, also where others are configured; only the package with
# its system services makes them.
for names in passwd group; do
    getent "$names" libvirt-qemu > /dev/null && continue
    cp "/etc/$names" "$dir/$names"
    case $names in
    passwd) echo "libvirt-qemu:x:64055:64055::/:/usr/sbin/nologin" ;;
    group) echo "libvirt-qemu:x:64055:" ;;
    esac >> "$dir/$names"
    mount --bind "$dir/$names" "/etc/$names"
done
cat > /etc/libvirt/qemu.conf << END
user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
remember_owner = 0
stdio_handler = "file"
END
cat > /etc/libvirt/libvirtd.conf << END
unix_sock_dir = "$dir"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "3:file:$dir/libvirtd.log"
END
exec libvirtd --config /etc/libvirt/libvirtd.conf --pid-file "$dir/libvirtd.pid"
