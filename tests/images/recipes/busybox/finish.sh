# /usr/bin was a link, so that the program lands in /bin wherever Debian's release puts it.
rm /bin/sh /usr/bin
/bin/busybox --install /bin
/bin/busybox rm -rf /usr/share /etc/alternatives
/bin/busybox mkdir -p /usr/bin /usr/sbin /home /root /tmp /var/spool/mail /var/www
/bin/busybox chmod 1777 /tmp
/bin/busybox chmod 700 /root
ln -s /bin/env /usr/bin/env
