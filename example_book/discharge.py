# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # From level to discharge
#
# This page is a Python script, cut into cells by lines that begin with `# %%`. It is a notebook because
# `conf.py` says so for the suffix `.py`, and because its first lines are a jupytext header. The module
# `helpers.py` has no such header: it does not become a page.
#
# How much water flows past the mill? A *rating curve* tells it from the level. For this river somebody might
# have measured:

# %%
from IPython.display import Latex, Markdown

SCALE, EXPONENT, ZERO_CM = 4.2, 1.6, 95

Latex(rf"$$Q(h) = {SCALE} \left(\frac{{h - {ZERO_CM}}}{{100}}\right)^{{{EXPONENT}}}$$")

# %% [markdown]
# The formula above is an output of its cell: change `EXPONENT`, and the formula follows.
#
# Here $h$ is the level in centimetres and $Q$ the discharge in cubic metres per second. An output can be Markdown
# as well. This one is a table and a sentence, made by code:

# %%
def discharge(level_cm):
    """Return the discharge in cubic metres per second."""
    return SCALE * ((level_cm - ZERO_CM) / 100) ** EXPONENT


levels = (120, 160, 200, 240)
rows = "\n".join(f"| {level} | {discharge(level):.1f} |" for level in levels)
Markdown(f"""
| Level (cm) | Discharge (m³/s) |
| ---: | ---: |
{rows}

When the path is closed, at 200 cm,
about **{discharge(200):.1f} cubic metres** pass the mill every second.
""")

# %% [markdown]
# Plain values are shown as Python shows them:

# %%
{level: round(discharge(level), 2) for level in levels}
