"""Everything said to rtpengine: the ng client, media, recordings."""
