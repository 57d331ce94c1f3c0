"""Attribution methods: one file a component, under the names of conf/method."""
