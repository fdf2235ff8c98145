"""Keeps IPython from making its folders in the home directory, where nobody has asked for them.

A kernel makes IPython's folder, a profile in it, and four folders in that, before it knows whether
it needs one. It can do without: what is not there holds no settings and no start-up files. What is
there is used as ever, and what a cell makes is made.
"""

import os
import sys

_MISSING = object()


class _Changes:
    """Attributes that are something else for a while."""

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
    """The module `os`, but nothing is made by `makedirs`."""

    def __getattr__(self, name):
        return getattr(os, name)

    def makedirs(self, *_, **__):
        pass


def leave_unmade():
    """Make no folders for IPython in the kernel that is to come, until it has its shell.

    It cannot fail: with a version that does it in another way, the folders are made.
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
        except (Exception, SystemExit):
            changes.undo()
            # It has its name already, so it would not be made any more.
            os.makedirs(app.ipython_dir, exist_ok=True)
            find(app)

    def init_shell(app):
        # Start-up files are run after this.
        try:
            init(app)
        finally:
            changes.undo()

    def mkdir(self, path, *more, **options):
        # It also sets right who may read what is there.
        return make(self, path, *more, **options) if os.path.exists(path) else False

    def ensure_dir_exists(path, *more, **options):
        if os.path.exists(path):
            ensure(path, *more, **options)

    def create_profile_dir_by_name(cls, path, name="default", config=None):
        return cls(location=os.path.join(path, "profile_" + name), config=config)

    changes.set(app_class, "init_profile_dir", init_profile_dir)
    changes.set(app_class, "init_shell", init_shell)
    changes.set(sys.modules["IPython.paths"], "os", _WithoutMaking())
    for module in (application, interactiveshell, profiledir):
        changes.set(module, "ensure_dir_exists", ensure_dir_exists)
    changes.set(profile, "_mkdir", mkdir)
    create = classmethod(create_profile_dir_by_name)
    changes.set(profile, "create_profile_dir_by_name", create)
