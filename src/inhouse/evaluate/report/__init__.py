"""The report of an evaluation: one HTML file for the person who decides and for the one who checks.

It asks for nothing from outside (a content security policy in the file forbids it), runs no script, and prints.
"""

from inhouse.evaluate.report.charts import curve_svg, require_chart_libraries
from inhouse.evaluate.report.data import ReportData
from inhouse.evaluate.report.markdown import report_markdown
from inhouse.evaluate.report.page import page_style, render_report

__all__ = ["ReportData", "curve_svg", "page_style", "render_report", "report_markdown", "require_chart_libraries"]
