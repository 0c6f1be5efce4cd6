#!/bin/sh
# An entrypoint for a container that runs httpd:
#
#   COPY container-entrypoint.sh /usr/local/bin/
#   ENTRYPOINT ["container-entrypoint.sh"]
#
# Why a container needs it. The semaphore table belongs to the IPC namespace. With Docker and Podman
# each container has its own, which goes with the container: nothing is left. But
#
# - in Kubernetes the IPC namespace belongs to the pod (its sandbox), and outlives the containers in
#   it. An httpd that is killed (out of memory, liveness probe, SIGKILL after the grace period) is
#   restarted in the same pod, and what it left is still there. A crash-looping httpd fills the table
#   of its pod, until it fails with "(28)No space left on device", although the node has room;
# - with --ipc=host or --ipc=container:NAME the namespace outlives the container as well.
#
# --private-ipc says that no process which this container cannot see uses these sets. That is true
# for a pod with httpd in one container only. Leave it out
#
# - with --ipc=host or hostIPC: true, and
# - where another container of the pod uses System V semaphores of the same user; unless the pod has
#   shareProcessNamespace: true, then all processes can be seen and the option is not needed at all.
#
# In a container httpd is often not started as root (runAsUser). Its sets then belong to that user;
# the guard run by the same user removes them without any privilege.
#
# Limits: each IPC namespace starts from the kernel's defaults, not from the node's kernel.sem. A pod
# sets its own with securityContext.sysctls, name: kernel.sem.
set -eu

# 69, "httpd would not start", alone stops it.
/usr/sbin/httpd-semguard guard --private-ipc -- "$@" || [ $? -ne 69 ] || exit 69
exec httpd -DFOREGROUND "$@"
