rm -rf /etc/nginx/sites-* /etc/nginx/modules-* /etc/nginx/snippets /var/www /etc/init.d/nginx
mkdir -p /var/cache/nginx /var/log/nginx /usr/share/nginx/html
chown nginx:nginx /var/cache/nginx
# What the server logs is what the container prints.
ln -sf /dev/stdout /var/log/nginx/access.log
ln -sf /dev/stderr /var/log/nginx/error.log
nginx -t
