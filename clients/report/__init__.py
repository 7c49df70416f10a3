"""The daily report: the numbers of the last days, as a page to read in the morning and as Markdown to send on."""
