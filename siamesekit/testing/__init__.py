"""What a part of another package must do, checked by running it on small random inputs.

A plugin's author writes one test::

    from siamesekit.testing import check_plugin

    def test_my_loss_keeps_the_contract():
        check_plugin("losses", "my-loss")

The contract of each kind of part stands in the module of that name.
"""

from siamesekit.testing.plugin import check_plugin

__all__ = ["check_plugin"]
