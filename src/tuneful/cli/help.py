"""How help looks: the form of a line as it is typed, what each word means, options, examples. Plain text, also in a pipe."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class Plain(TyperCommand):
    """A command whose help names its words as they are written in its source, without types."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words of the usage line, after the command's name."""
        return [*(str(p.metavar) for p in self.params if p.param_type_name == "argument"), "[OPTIONS]"]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The sections on words and options."""
        params: list[Any] = list(self.get_params(ctx))
        words = [(str(p.metavar), str(p.help)) for p in params if p.param_type_name == "argument"]
        options = [record for p in params if p.param_type_name == "option" and (record := p.get_help_record(ctx))]
        for title, rows in (("Words", words), ("Options", options)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
