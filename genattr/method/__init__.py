"""Attribution methods: one file per component, named as in conf/method."""
