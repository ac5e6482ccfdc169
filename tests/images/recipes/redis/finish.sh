rm -rf /etc/redis /etc/init.d/redis-server /var/lib/redis
mkdir /data
chown redis:redis /data
