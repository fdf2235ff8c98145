"""Keeps IPython from creating unrequested folders in the home directory.

A kernel creates IPython's folder, a profile in it, and four folders in that, before it knows
whether it needs one. It works without them: a missing folder contains no settings and no start-up
files. Existing folders are used as usual, and cells can create folders.
"""

import os
import sys

_MISSING = object()


class _Changes:
    """Temporary changes of attributes."""

    def __init__(self):
        self.undone = []

    def set(self, owner, name, value):
        self.undone.append((owner, name, vars(owner).get(name, _MISSING)))
        setattr(owner, name, value)

    def undo(self):
        while self.undone:
            owner, name, value = self.undone.pop()
            if value is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, value)


class _WithoutMaking:
    """The module `os`, except that `makedirs` creates nothing."""

    # Only `IPython.paths` sees this object: `get_ipython_dir` (9.18) makes the folder with it.
    def __getattr__(self, name):
        return getattr(os, name)

    def makedirs(self, *_, **__):
        pass


def leave_unmade():
    """Create no folders for IPython in the kernel about to start, until it has its shell.

    This cannot fail: if a version creates them in another way, the folders are created.
    """
    changes = _Changes()
    try:
        from ipykernel.kernelapp import IPKernelApp  # what a kernel imports first

        _change(changes, IPKernelApp)
    except Exception:
        changes.undo()


def _change(changes, app_class):
    from IPython.core import application, interactiveshell, profiledir

    profile, find, init = profiledir.ProfileDir, app_class.init_profile_dir, app_class.init_shell
    make, ensure = profile._mkdir, profiledir.ensure_dir_exists

    def init_profile_dir(app):
        try:
            find(app)
        # IPython exits with status 1 if a profile that was asked for is missing.
        except (Exception, SystemExit):
            changes.undo()
            # IPython already has the folder's name, so it would not create the folder any more.
            os.makedirs(app.ipython_dir, exist_ok=True)
            find(app)

    def init_shell(app):
        # Start-up files are run after this.
        try:
            init(app)
        finally:
            changes.undo()

    def mkdir(self, path, *more, **options):
        # For an existing folder, the original also corrects its permissions.
        return make(self, path, *more, **options) if os.path.exists(path) else False

    def ensure_dir_exists(path, *more, **options):
        if os.path.exists(path):
            ensure(path, *more, **options)

    # The original fails if the parent folder is missing.
    def create_profile_dir_by_name(cls, path, name="default", config=None):
        return cls(location=os.path.join(path, "profile_" + name), config=config)

    changes.set(app_class, "init_profile_dir", init_profile_dir)
    changes.set(app_class, "init_shell", init_shell)
    changes.set(sys.modules["IPython.paths"], "os", _WithoutMaking())
    # Each module has imported the function by name, so each of them needs the replacement.
    for module in (application, interactiveshell, profiledir):
        changes.set(module, "ensure_dir_exists", ensure_dir_exists)
    changes.set(profile, "_mkdir", mkdir)
    create = classmethod(create_profile_dir_by_name)
    changes.set(profile, "create_profile_dir_by_name", create)
