#!/bin/sh
# An entrypoint for a container that runs httpd:
#
#   COPY container-entrypoint.sh /usr/local/bin/
#   ENTRYPOINT ["container-entrypoint.sh"]
#
# Why a container needs this: the semaphore table belongs to the IPC namespace. With Docker and Podman,
# each container has its own, which disappears with the container, so nothing is left behind. However,
#
# - in Kubernetes, the IPC namespace belongs to the pod (its sandbox) and outlives the containers in
#   it. If httpd is killed (out of memory, liveness probe, SIGKILL after the grace period), it is
#   restarted in the same pod, where its old sets still exist. An httpd in a crash loop fills the table
#   of its pod until it fails with "(28)No space left on device", although the node has room.
# - with --ipc=host or --ipc=container:NAME, the namespace outlives the container as well.
#
# --private-ipc declares that no process outside this container's view uses these sets. This is true
# for a pod in which only one container runs httpd. Do not use the option
#
# - with --ipc=host or hostIPC: true;
# - if another container of the pod uses System V semaphores of the same user. If the pod has
#   shareProcessNamespace: true, all its processes are visible, and the option is not needed at all.
#
# In containers, httpd is often not started as root (runAsUser). Its sets then belong to that user, and
# httpd-semguard run by the same user can remove them without any privileges.
#
# Limits: each IPC namespace starts with the kernel's defaults, not with the node's kernel.sem. To set
# them for a pod, use securityContext.sysctls with the name kernel.sem.
set -eu

# Only exit code 69, "httpd would not start", keeps httpd from starting.
/usr/sbin/httpd-semguard guard --private-ipc -- "$@" || [ $? -ne 69 ] || exit 69
exec httpd -DFOREGROUND "$@"
