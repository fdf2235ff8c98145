"""The names of other packages that light kernels rely on and that are not public.

[](missing) looks for them in the process that uses them: in the zygote for those of a kernel, and
in the build for those of a client. If one is missing, kernels are forked in the ordinary way.
"""

import inspect

# By module and class: the names, and for a function the arguments that it is given.
KERNEL = {
    "ipykernel.kernelapp IPKernelApp": (
        "init_connection_file init_poller init_sockets init_heartbeat write_connection_file"
        " log_connection_info init_kernel outstream_class displayhook_class"
        " kernel_class capture_fd_output quiet no_stdout no_stderr trio_loop"
    ),
    "ipykernel.kernelapp": "import_item",
    "ipykernel.ipkernel IPythonKernel": (
        "shell_stream control_stream iopub_socket process_control dispatch_shell start"
    ),
    "ipykernel.iostream OutStream": "write flush set_parent _hooks writelines writable close",
    "zmq.eventloop.zmqstream ZMQStream": "send_multipart on_recv flush",
    "jupyter_client.session Session": "send serialize feed_identities deserialize auth check_pid",
}
CLIENT = {
    "jupyter_client.client KernelClient": "shell_channel iopub_channel start_channels",
    "jupyter_client.session": "DELIM json_packer",
    "nbclient.client NotebookClient": "_async_poll_output_msg _async_poll_kernel_alive",
}
SIGNATURES = {
    "ipykernel.iostream OutStream __init__": "session pub_thread name echo watchfd",
    "jupyter_client.session Session serialize": "msg ident",
}


def missing(names):
    """Return those of the names that this process lacks, in words."""
    found = [
        f"{place.replace(' ', '.')}.{name}"
        for place, listed in names.items()
        for name in listed.split()
        if not hasattr(_owner(place), name)
    ]
    for place, listed in SIGNATURES.items():
        if place.rpartition(" ")[0] in names and not _takes(_owner(place), listed.split()):
            found.append(f"{place.replace(' ', '.')}({', '.join(listed.split())})")
    return found


def _owner(place):
    module, *names = place.split()
    try:
        owner = __import__(module, fromlist=["*"])
        for name in names:
            owner = getattr(owner, name)
    except (ImportError, AttributeError):
        return None
    return owner


def _takes(function, names):
    try:
        return set(names) <= set(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return False
