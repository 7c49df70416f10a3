"""Several hosts, tried: namespaces with networks, clocks and folders of their own, under load, and a judge."""
