"""Rows as text."""


def number(value):
    if value is None:
        return ""
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def cells(row):
    spread = f" [{row.spread[0]:.3f}-{row.spread[1]:.3f}]" if row.spread and row.ratio is not None else ""
    if row.spread and row.ratio is None:
        spread = f"[{number(row.spread[0])}-{number(row.spread[1])}]"
    ratio = "" if row.ratio is None else f"{row.ratio:.3f}"
    bound = f"<= {row.at_most:.3g}" if row.at_most is not None else f">= {row.at_least:.3g}" if row.at_least is not None else ""
    held = {None: "", True: "holds", False: "MISSED"}[row.holds]
    beside = f"{row.beside}: {number(row.reference)}" if row.beside else ""
    return [row.part, row.name, f"{number(row.value)} {row.unit}", beside, ratio + spread, bound, held]


HEAD = ["part", "what", "measured", "beside", "ratio [middle half]", "bound", ""]


def text(rows):
    lines = [HEAD, *map(cells, rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(HEAD))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def markdown(rows):
    lines = [HEAD[1:], ["---"] * (len(HEAD) - 1), *(cells(row)[1:] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
